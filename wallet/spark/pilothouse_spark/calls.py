"""The calls of the socket: the executor's own methods, and those that only Spark has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from . import convert
from .amounts import sats
from .errors import Refusal, invalid
from .fields import Fields
from .journal import now_ms
from .private import open_folder, write_private
from .receive import Receiver
from .records import UNKNOWN, Record
from .send import Payer
from .wallet import Wallet

_LONGEST_WAIT_MS = 60_000
_NOTICES_AT_ONCE = 200
_MOST_HISTORY = 500
_NEVER = 1 << 62
BACKUP_WARNING = (
    "The words bring back the balance, as Spark's operators keep it. They do not bring back this "
    "journal, and a withdrawal without the operators' help needs the exit state as well, which "
    "grows stale as the wallet is used."
)


class Calls:
    """Answers one client like any other: every call can be repeated."""

    def __init__(self, wallet: Wallet, end: Callable[[], None]) -> None:
        self._wallet = wallet
        self._end = end
        self.payer = Payer(wallet)
        self._receiver = Receiver(wallet)
        self._methods: dict[str, Callable[[Fields], Awaitable[Any]]] = {
            "info": self._info,
            "refresh": self._refresh,
            "receive": self._receiver.receive,
            "quote": self.payer.quote,
            "pay": self.payer.pay,
            "payment": self._payment,
            "look_up": self._look_up,
            "history": self._history,
            "events": self._events,
            "acknowledge": self._acknowledge,
            "deposits": self._deposits,
            "claim_deposit": self._claim_deposit,
            "backup": self._backup,
            "shutdown": self._shutdown,
        }

    async def call(self, method: str, params: Any) -> Any:
        """One call of the socket."""
        handler = self._methods.get(method)
        if handler is None:
            name = method[:40]
            raise Refusal("unknown_method", f"There is no method {name!r}; nothing was done.")
        return await handler(Fields(params))

    async def _info(self, _: Fields) -> Any:
        return self._wallet.info()

    async def _refresh(self, _: Fields) -> Any:
        """Looks now. What it finds, also that nobody answers, stands in the answer."""
        self._wallet.need()
        await self._wallet.look()
        return self._wallet.info()

    async def _payment(self, fields: Fields) -> Any:
        record = self._wallet.journal.payment(fields.key())
        if record is None:
            raise Refusal("no_such_payment", "The journal has no payment of this key.")
        return await self._looked_up(record)

    async def _look_up(self, fields: Fields) -> Any:
        """A payment by its key, else by its payment hash, else by the SDK's id of it."""
        journal, key, direction = self._wallet.journal, fields.key(), fields.direction()
        payment_hash, reference = fields.optional_hash("payment_hash"), fields.reference()
        record = journal.payment(key)
        if record is not None and record.direction != direction:
            record = None
        if record is None and payment_hash is not None:
            record = journal.by_hash(direction, payment_hash)
        if record is None and reference is not None:
            record = journal.by_reference(direction, reference)
        if record is None:
            raise Refusal("no_such_payment", "The journal has no such payment.")
        return await self._looked_up(record)

    async def _looked_up(self, record: Record) -> Any:
        """With `heard`: whether the operators answered since it was given to them."""
        since = self._wallet.synced_since
        if record.state == UNKNOWN:
            record = await self.payer.look_up(record)
        heard = since is not None and since > record.updated_at
        return record.shown() | {"heard": heard and not self.payer.is_sending(record.key)}

    async def _history(self, fields: Fields) -> Any:
        before = fields.optional_number("before", 0, _NEVER)
        count = fields.number("count", 1, 1 << 32)
        page = self._wallet.journal.history(before, min(count, _MOST_HISTORY))
        return [record.shown() for record in page]

    async def _events(self, fields: Fields) -> Any:
        """Notices after a cursor, else after the last one acknowledged; waits for the first."""
        journal = self._wallet.journal
        after = fields.optional_number("after", 0, _NEVER)
        if after is None:
            after = journal.fact("acknowledged") or 0
        wait_ms = min(fields.number("wait_ms", 0, 1 << 32), _LONGEST_WAIT_MS)
        if after > journal.cursor():
            raise Refusal(
                "unknown_cursor",
                "This cursor is of another journal.",
                hint="Read the notices from the beginning.",
            )
        until = time.monotonic() + wait_ms / 1_000
        while True:
            notices = journal.notices(after, _NOTICES_AT_ONCE)
            left = until - time.monotonic()
            if notices or left <= 0:
                return notices
            await self._wallet.rings(left)

    async def _acknowledge(self, fields: Fields) -> Any:
        cursor = fields.number("cursor", 0, _NEVER)
        if cursor > self._wallet.journal.cursor():
            raise Refusal("unknown_cursor", "This cursor is of another journal.")
        self._wallet.journal.acknowledge(cursor)
        return True

    async def _deposits(self, _: Fields) -> Any:
        return await self._wallet.need().deposits()

    async def _claim_deposit(self, fields: Fields) -> Any:
        txid, vout = fields.optional_hash("txid"), fields.number("vout", 0, (1 << 32) - 1)
        if txid is None:
            raise invalid("the field txid is missing")
        fee = fields.optional_amount("max_fee_msat")
        claimed = await self._wallet.need().claim(txid, vout, None if fee is None else sats(fee))
        if isinstance(claimed, convert.Seen):
            self._wallet.absorb(claimed)
            return {"outcome": "settled", "reference": claimed.id}
        return {"outcome": claimed, "reference": None}

    async def _backup(self, _: Fields) -> Any:
        """Never the words: the executor keeps them."""
        at = now_ms()
        name = datetime.fromtimestamp(at / 1_000, UTC).strftime("%Y%m%dT%H%M%S")
        folder = open_folder(self._wallet.folder / "backups" / f"{name}-{at % 1_000:03}")
        includes = ["journal.db"]
        self._wallet.journal.copy_to(folder / "journal.db")
        if self._wallet.sdk is not None:
            state = await self._wallet.sdk.exit_state()
            write_private(folder / "exit-state.json", state.encode())
            includes.append("exit-state.json")
        return {"path": str(folder), "at": at, "includes": includes, "warning": BACKUP_WARNING}

    async def _shutdown(self, _: Fields) -> Any:
        asyncio.get_running_loop().call_later(0.05, self._end)
        return True
