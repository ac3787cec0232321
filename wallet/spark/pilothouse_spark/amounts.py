"""Amounts: integers in msat outside, whole sats inside; a fraction is refused, never rounded."""

from __future__ import annotations

import uuid

from .errors import Refusal, refused

MAX_MSAT = (1 << 53) - 1

# Names this wallet's payments among all UUIDs (RFC 9562, version 5).
_PAYMENTS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:pilothouse:spark:payment")


def sats(msat: int) -> int:
    """Whole sats of an amount in msat."""
    whole, fraction = divmod(msat, 1_000)
    if fraction:
        raise refused(
            "msat_fraction",
            f"Spark moves whole sats only, and {msat} msat is none. Nothing was done.",
            "Ask for an amount in whole sats.",
        )
    return whole


def msat(sats_: int) -> int:
    """An amount of the SDK, which counts in sats, in msat."""
    if sats_ < 0 or sats_ * 1_000 > MAX_MSAT:
        raise Refusal("bad_answer", f"{sats_} sats is no amount that can be kept exactly.")
    return sats_ * 1_000


def payment_uuid(key: str) -> str:
    """The UUID under which the operators know the payment of this key, the same after a crash."""
    return str(uuid.uuid5(_PAYMENTS, key))
