"""Paying: intent first, one UUID per key, and a look-up wherever an answer is missing."""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from dataclasses import dataclass
from typing import Any

import breez_sdk_spark as breez

from . import convert
from .amounts import payment_uuid, sats
from .errors import Refusal, refused
from .fields import Fields
from .journal import now_ms
from .records import FAILED, REQUESTED, UNKNOWN, Record
from .wallet import Wallet

_log = logging.getLogger(__name__)
_SENDS_AT_ONCE = 64


@dataclass(frozen=True)
class Order:
    """What is to be paid, as it was asked for; amounts in msat."""

    key: str
    account: str
    request: str
    amount_msat: int
    max_fee_msat: int

    def terms(self) -> str:
        """What makes the same key the same payment."""
        return json.dumps([self.request, self.amount_msat, self.max_fee_msat])


class Payer:
    """Sends payments of one wallet."""

    def __init__(self, wallet: Wallet) -> None:
        self._wallet = wallet
        self._journal = wallet.journal
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._sending: dict[str, asyncio.Task[None]] = {}

    async def quote(self, fields: Fields) -> dict[str, Any]:
        """What a request says and what it would cost; the fee is null while nobody knows it."""
        request, asked = fields.request(), fields.optional_amount("amount_msat")
        sdk = self._wallet.need()
        target = convert.target(await sdk.parse(request), request, self._wallet.network)
        amount = target.amount_msat if target.amount_msat is not None else asked
        quote: dict[str, Any] = {
            "rail": target.rail,
            "request": target.request,
            "payee": target.payee,
            "payment_hash": target.payment_hash,
            "amount_msat": amount,
            "max_fee_msat": None,
            "expires_at": target.expires_at,
            "memo": target.memo,
            "waits_for": None,
            "refused": None,
        }
        try:
            self._check(target, amount, asked)
            if amount is not None:
                prepared = await sdk.prepare(request, self._priced(target, amount), None)
                quote["max_fee_msat"] = prepared.fee_msat
        except Refusal as refusal:
            quote["waits_for" if refusal.retryable else "refused"] = refusal.body()
        return quote

    async def pay(self, fields: Fields) -> dict[str, Any]:
        """Pays once per key. An error means that nothing was sent by this call; a state of
        `unknown` means that nobody knows yet."""
        order = Order(
            fields.key(),
            fields.account(),
            fields.request(),
            fields.amount("amount_msat"),
            fields.amount("max_fee_msat"),
        )
        lock = self._locks.setdefault(order.key, asyncio.Lock())
        async with lock:
            record = self._journal.payment(order.key)
            if record is not None:
                if record.direction != "out" or record.terms != order.terms():
                    raise refused(
                        "key_reused", "This key belongs to another payment. Nothing was done."
                    )
                record = await self._where_it_stands(record)
                if record is not None:
                    return record.shown()
            return await self._try(order)

    async def _where_it_stands(self, record: Record) -> Record | None:
        """The payment of a key that is asked for again; none where it may be sent now."""
        if not record.handed:
            return None
        if record.state != UNKNOWN or self.is_sending(record.key):
            return record
        since = self._wallet.synced_since
        record = await self.look_up(record)
        if record.state != UNKNOWN:
            return record
        if self._wallet.state == "ready" and since is not None and since > record.updated_at:
            # The operators were heard after it was given away, and they know of no such payment.
            # Under the same UUID it can only become the one payment that it was meant to be.
            return None
        return record

    async def _try(self, order: Order) -> dict[str, Any]:
        sdk, amount = self._wallet.need(), order.amount_msat
        target = convert.target(await sdk.parse(order.request), order.request, self._wallet.network)
        self._check(target, amount, amount)
        self._not_twice(order.key, target)
        record = self._journal.payment(order.key) or _intent(order, target)
        if not record.handed:
            record.state, record.detail = REQUESTED, None
            self._save(record)
        try:
            prepared = await sdk.prepare(
                order.request, self._priced(target, amount), order.max_fee_msat
            )
            self._fits(prepared, target, order)
            self._not_twice(order.key, target)
        except Refusal as refusal:
            if not record.handed:
                self._never_left(record, refusal)
                raise
            return record.shown()
        record.handed, record.state = 1, UNKNOWN
        record.detail = "It was given to Spark; no answer came yet."
        self._journal.save(record, notice=False)
        refused_or_none = await self._send(record, prepared)
        if refused_or_none is not None:
            raise refused_or_none
        return (self._journal.payment(order.key) or record).shown()

    async def _send(self, record: Record, prepared: convert.Prepared) -> Refusal | None:
        """Sends, and waits a while for the end of it. The sending itself is never broken off."""
        if len(self._sending) >= _SENDS_AT_ONCE:
            busy = Refusal("busy", "Too many payments are on their way.", retryable=True)
            record.handed = 0
            self._never_left(record, busy)
            return busy
        task = asyncio.create_task(self._send_to_the_end(record, prepared))
        self._sending[record.key] = task
        task.add_done_callback(lambda _: self._sending.pop(record.key, None))
        done, _ = await asyncio.wait({task}, timeout=self._wallet.waits.send)
        if not done:
            self._save(record)
            return None
        return task.result()

    async def _send_to_the_end(self, record: Record, prepared: convert.Prepared) -> Refusal | None:
        sdk = self._wallet.need()
        try:
            self._wallet.absorb(await sdk.send(prepared, record.uuid or ""))
            return None
        except breez.SdkError as error:
            told = convert.error(error, synced=True, request=record.request)
            unsent = convert.certainly_unsent(error)
        except Refusal as refusal:
            told, unsent = refusal, False
        except Exception as error:  # noqa: BLE001 - whatever it was, money may have moved
            _log.error("a send broke off: %s", type(error).__name__, exc_info=True)
            told, unsent = Refusal("sdk", f"The SDK broke off ({type(error).__name__})."), False
        try:
            found = await sdk.payment(record.uuid or "")
        except Refusal:
            found, unsent = None, False
        if found is not None:
            self._wallet.absorb(found)
            return None
        if unsent:
            record.handed = 0
            self._never_left(record, told)
            return told
        record.detail = f"{told.message} Whether it was sent is looked up until it is known."
        self._save(record)
        return None

    async def look_up(self, record: Record) -> Record:
        """Asks the SDK for the payment by its id, and only that."""
        id_ = record.reference or record.uuid
        if self._wallet.sdk is None or id_ is None or not record.handed:
            return record
        try:
            found = await self._wallet.sdk.payment(id_)
        except Refusal:
            return record
        if found is not None:
            self._wallet.absorb(found)
        return self._journal.payment(record.key) or record

    def is_sending(self, key: str) -> bool:
        """Whether this process still waits for the SDK's answer."""
        return key in self._sending

    async def finish(self, within: float) -> None:
        """Gives what is being sent a while to be recorded."""
        if self._sending:
            await asyncio.wait(set(self._sending.values()), timeout=within)

    # Checks

    def _check(self, target: convert.Target, amount: int | None, asked: int | None) -> None:
        if target.amount_msat is not None and asked not in (None, target.amount_msat):
            raise refused(
                "amount_mismatch",
                f"It asks for {target.amount_msat} msat, not for {asked}. Nothing was done.",
            )
        if amount is not None:
            if amount == 0:
                raise refused("unsupported_amount", "Nothing would be paid.")
            sats(amount)
        if target.expires_at is not None and target.expires_at <= now_ms():
            raise refused("expired", "The request has expired. Nothing was done.")
        own = None
        if target.payment_hash is not None:
            own = self._journal.in_by_hash(target.payment_hash)
        elif target.rail == "spark":
            own = self._journal.in_by_request(target.request)
        if own is not None or (target.rail == "spark" and target.payee == self._wallet.node_id):
            raise refused("own_invoice", "This asks for money for this wallet itself.")

    def _not_twice(self, key: str, target: convert.Target) -> None:
        if not target.single_use():
            return
        other = self._journal.out_by_target(target.payment_hash, target.request)
        if other is not None and other.key != key:
            raise refused(
                "already_paid", f"It is paid, or may be, as {other.key}. Nothing was done."
            )

    @staticmethod
    def _priced(target: convert.Target, amount: int) -> int | None:
        return None if target.amount_msat is not None else sats(amount)

    @staticmethod
    def _fits(prepared: convert.Prepared, target: convert.Target, order: Order) -> None:
        if prepared.rail != target.rail or prepared.amount_msat != order.amount_msat:
            raise refused(
                "bad_answer",
                f"The SDK would send {prepared.amount_msat} msat by {prepared.rail} where "
                f"{order.amount_msat} msat by {target.rail} was asked for. Nothing was sent.",
            )
        if prepared.fee_msat > order.max_fee_msat:
            raise refused(
                "fee_exceeds",
                f"It costs {prepared.fee_msat} msat, and {order.max_fee_msat} is allowed. "
                "Nothing was sent.",
            )

    def _never_left(self, record: Record, why: Refusal) -> None:
        record.state, record.detail = FAILED, why.message
        self._save(record)

    def _save(self, record: Record) -> None:
        self._journal.save(record)
        self._wallet.ring()


def _intent(order: Order, target: convert.Target) -> Record:
    return Record(
        key=order.key,
        account=order.account,
        direction="out",
        rail=target.rail,
        state=REQUESTED,
        terms=order.terms(),
        amount_msat=order.amount_msat,
        max_fee_msat=order.max_fee_msat,
        request=order.request,
        payment_hash=target.payment_hash,
        payee=target.payee,
        memo=target.memo,
        uuid=payment_uuid(order.key),
        expires_at=target.expires_at,
        created_at=now_ms(),
        updated_at=0,
    )
