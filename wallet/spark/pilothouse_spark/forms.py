"""What a pasted request looks like, so that a network that is down is never called bad input.

The SDK answers `invalid input` both for rubbish and for an address that it could not resolve.
"""

from __future__ import annotations

from enum import Enum


class Form(Enum):
    """The kinds that can be told apart by looking."""

    BOLT11 = "a Lightning invoice"
    BOLT12 = "a BOLT 12 offer"
    SPARK = "a Spark address or invoice"
    ONCHAIN = "a bitcoin address"
    BIP21 = "a bitcoin: link"
    LIGHTNING_ADDRESS = "a lightning address"
    LNURL = "an LNURL"
    URL = "a link"
    OTHER = "nothing that can be paid"

    def needs_network(self) -> bool:
        """Whether somebody must be asked before it is known what it is."""
        return self in (Form.LIGHTNING_ADDRESS, Form.LNURL, Form.URL)


_PREFIXES = (
    (("lnurl1", "lnurlp:", "lnurlw:", "keyauth:"), Form.LNURL),
    (("lno1",), Form.BOLT12),
    (("lnbc", "lntb", "lnbcrt"), Form.BOLT11),
    (("spark1", "sparkrt1", "sp1", "sprt1"), Form.SPARK),
    (("bitcoin:",), Form.BIP21),
    (("https://", "http://"), Form.URL),
    (("bc1", "tb1", "bcrt1", "1", "3", "m", "n", "2"), Form.ONCHAIN),
)


def form_of(request: str) -> Form:
    """By prefix and sign only; says nothing of whether it is right."""
    lowered = request.lower().removeprefix("lightning:")
    if "@" in lowered and "://" not in lowered:
        return Form.LIGHTNING_ADDRESS
    for prefixes, form in _PREFIXES:
        if lowered.startswith(prefixes):
            return form
    return Form.OTHER
