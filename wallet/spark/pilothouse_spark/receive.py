"""Receiving: a Spark address or invoice, a bitcoin address, a Lightning invoice; once per key."""

from __future__ import annotations

import asyncio
import json
import weakref
from dataclasses import dataclass
from typing import Any

import breez_sdk_spark as breez

from . import convert
from .amounts import sats
from .errors import Refusal, refused
from .fields import MAX_MEMO_BYTES, Fields
from .journal import now_ms
from .records import PENDING, Record
from .wallet import Wallet

_LONGEST_EXPIRY_SECS = (1 << 32) - 1


@dataclass(frozen=True)
class Wish:
    """What is to be received, as it was asked for."""

    key: str
    account: str
    rail: str
    amount_msat: int | None
    memo: str
    expiry_secs: int

    def terms(self) -> str:
        """What makes the same key the same request."""
        return json.dumps([self.rail, self.amount_msat, self.memo, self.expiry_secs])

    def standing(self) -> bool:
        """Whether it is an address that stays, and says nothing of one payment."""
        return self.rail == "onchain" or (self.rail == "spark" and self.amount_msat is None)


class Receiver:
    """Makes what others pay to."""

    def __init__(self, wallet: Wallet) -> None:
        self._wallet = wallet
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def receive(self, fields: Fields) -> dict[str, Any]:
        """The payment request of this key; asked again, the same one."""
        wish = Wish(
            fields.key(),
            fields.account(),
            fields.rail(),
            fields.optional_amount("amount_msat"),
            fields.optional_text("memo", MAX_MEMO_BYTES) or "",
            fields.number("expiry_secs", 1, _LONGEST_EXPIRY_SECS),
        )
        lock = self._locks.setdefault(wish.key, asyncio.Lock())
        async with lock:
            record = self._wallet.journal.payment(wish.key)
            if record is None:
                record = await self._make(wish)
            elif record.direction != "in" or record.terms != wish.terms():
                raise refused(
                    "key_reused", "This key belongs to another payment. Nothing was done."
                )
            return record.requested()

    async def _make(self, wish: Wish) -> Record:
        sdk = self._wallet.need()
        if wish.amount_msat == 0:
            raise refused("unsupported_amount", "Nothing would be received.")
        text = await sdk.receive(_method(wish))
        said = convert.target(await sdk.parse(text), text, self._wallet.network)
        standing = wish.standing()
        if said.rail != wish.rail or (not standing and said.amount_msat != wish.amount_msat):
            raise Refusal(
                "bad_answer",
                f"Spark made something else than {wish.rail} of this amount: not used.",
            )
        now = now_ms()
        record = Record(
            key=wish.key,
            account=wish.account,
            direction="in",
            rail=wish.rail,
            state=PENDING,
            terms=wish.terms(),
            amount_msat=wish.amount_msat,
            request=text,
            payment_hash=said.payment_hash,
            memo=wish.memo,
            standing=int(standing),
            expires_at=None if standing else said.expires_at,
            created_at=now,
            updated_at=now,
        )
        self._wallet.journal.save(record)
        self._wallet.ring()
        return record


def _method(wish: Wish) -> Any:
    methods, rail = breez.ReceivePaymentMethod, wish.rail
    amount_sats = None if wish.amount_msat is None else sats(wish.amount_msat)
    if rail == "bolt11":
        return methods.BOLT11_INVOICE(wish.memo, amount_sats, wish.expiry_secs, None, None)
    if rail == "onchain":
        return methods.BITCOIN_ADDRESS(False)
    if rail == "spark" and amount_sats is None:
        return methods.SPARK_ADDRESS()
    if rail == "spark":
        ends = now_ms() // 1_000 + wish.expiry_secs
        return methods.SPARK_INVOICE(amount_sats, None, ends, wish.memo or None, None)
    raise refused(
        "unsupported_rail",
        f"This wallet receives by bolt11, spark and onchain, not by {rail}. Nothing was done.",
    )
