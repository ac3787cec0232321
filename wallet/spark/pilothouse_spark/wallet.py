"""The wallet: what is known of it, what it last saw, and the rounds in which it looks again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

import breez_sdk_spark as breez

from . import PROTOCOL, convert
from .absorb import absorb
from .amounts import MAX_MSAT, msat
from .errors import Refusal, refused
from .journal import Journal, now_ms
from .records import EXPIRED, FAILED, PENDING
from .sdk import Connect, Sdk, Secrets, Waits, no_sync_seen

_log = logging.getLogger(__name__)
# Payments that appear late are still found: the list is read again from this long before.
_OVERLAP_SECS = 86_400
_UNFINISHED_AT_ONCE = 500
# An invoice that nobody paid is forgotten this long after its end.
_EXPIRED_AFTER_MS = 60_000


class Wallet:
    """One Spark wallet: its journal is always there, its SDK once it is connected."""

    def __init__(self, folder: Path, secrets: Secrets, connect: Connect, waits: Waits) -> None:
        self.folder = folder
        self.network = secrets.network
        self.waits = waits
        self.journal = Journal(folder / "journal.db")
        self.sdk: Sdk | None = None
        self.state = "starting"
        self.detail: str | None = None
        self.node_id: str = self.journal.fact("identity") or ""
        self._secrets = secrets
        self._connect = connect
        self._trouble: Refusal | None = None
        self._bell = asyncio.Event()
        self._look_now = asyncio.Event()
        self._looking = asyncio.Lock()
        self._synced_events = 0
        self._synced_bell = asyncio.Event()
        self._closed = False
        # When the last sync began that was seen to end well, in this process.
        self.synced_since: int | None = None
        for record in self.journal.never_handed():
            record.state = FAILED
            record.detail = "The process ended before anything was sent."
            self.journal.save(record)

    # What callers see

    def need(self) -> Sdk:
        """The connected SDK, or why there is none."""
        if self.sdk is not None:
            return self.sdk
        if self._trouble is not None:
            raise self._trouble
        raise Refusal("starting", "The Spark wallet is still starting.", retryable=True)

    def info(self) -> dict[str, Any]:
        """As `wallet::wire::Info`, and what the executor's adapter needs besides."""
        return {
            "protocol": PROTOCOL,
            "network": self.network,
            "backend": "spark",
            "node_id": self.node_id,
            "state": self.state,
            "balance": self.balance(),
            "cursor": self.journal.cursor(),
            "acknowledged": self.journal.fact("acknowledged") or 0,
            "detail": self.detail,
            "receives": ["bolt11", "spark", "onchain"],
            "pays": ["bolt11", "spark", "onchain"],
            "trouble": self._trouble.body() if self._trouble is not None else None,
        }

    def balance(self) -> dict[str, Any] | None:
        """What was known when a sync last came to its end; none before the first."""
        known = self.journal.fact("balance")
        if known is None:
            return None
        pending_in, pending_out = self.journal.pending_msat()
        return {
            "spendable_msat": known["spendable_msat"],
            "pending_in_msat": pending_in,
            "pending_out_msat": pending_out,
            # Spark has no channels that could be full.
            "inbound_msat": MAX_MSAT if self.state == "ready" else 0,
            "onchain_msat": known["onchain_msat"],
            "as_of": known["as_of"],
        }

    def ring(self) -> None:
        """There is a new notice."""
        self._bell.set()
        self._bell = asyncio.Event()

    async def rings(self, within: float) -> None:
        """Waits for the next notice."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._bell.wait()

    def absorb(self, seen: convert.Seen) -> None:
        """Takes over what the SDK says of a payment."""
        if absorb(self.journal, seen):
            self.ring()

    # Rounds

    async def run(self) -> None:
        """Connects, and looks again and again. Ends with its task only."""
        while not await self._start():
            await asyncio.sleep(self.waits.after_trouble)
        while True:
            ready = await self.look()
            pause = self.waits.between_looks if ready else self.waits.after_trouble
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look_now.wait()
            self._look_now.clear()

    async def _start(self) -> bool:
        storage = self.folder / "storage"
        storage.mkdir(mode=0o700, exist_ok=True)
        try:
            sdk = await Sdk.connect(self._secrets, storage, self._connect, self.waits)
            identity, _ = await sdk.info()
            self._same_wallet(identity)
            await sdk.listen(_Listener(self))
        except Refusal as refusal:
            self._trouble = refusal
            self._set_state("degraded", refusal.message)
            return False
        self.node_id, self.sdk, self._trouble = identity, sdk, None
        self._set_state("syncing", None)
        return True

    def _same_wallet(self, identity: str) -> None:
        known = self.journal.fact("identity")
        network = self.journal.fact("network")
        if known is None:
            self.journal.remember("identity", identity)
            self.journal.remember("network", self.network)
        elif (known, network) != (identity, self.network):
            raise refused(
                "wallet_changed",
                f"This folder is of the wallet {known[:16]} on {network}, and the words that were "
                f"given are of {identity[:16]} on {self.network}. Nothing was started.",
                "Give it its own words, or choose another folder.",
            )

    async def look(self) -> bool:
        """One round: reach, sync, list, count. Whether all of it went well."""
        async with self._looking:
            sdk = self.need()
            try:
                await self._confirmed_sync(sdk)
                await self._catch_up(sdk)
                await self._count(sdk)
            except Refusal as refusal:
                self._set_state("degraded", refusal.message)
                return False
            self._set_state("ready", None)
            return True

    async def _confirmed_sync(self, sdk: Sdk) -> None:
        began, before = now_ms(), self._synced_events
        await sdk.reach()
        await sdk.sync()
        try:
            async with asyncio.timeout(self.waits.remote):
                while self._synced_events == before:
                    await self._synced_bell.wait()
        except TimeoutError:
            raise no_sync_seen() from None
        sdk.synced, self.synced_since = True, began

    async def _catch_up(self, sdk: Sdk) -> None:
        listed: int | None = self.journal.fact("listed_until")
        since = None if listed is None else max(0, listed - _OVERLAP_SECS)
        offset, newest, last = 0, listed or 0, False
        while not last:
            page, last = await sdk.payments(since, offset)
            for seen in page:
                self.absorb(seen)
                newest = max(newest, seen.created_at // 1_000)
            offset += 100
        if newest != (listed or 0):
            self.journal.remember("listed_until", newest)
        for record in self.journal.unfinished(_UNFINISHED_AT_ONCE):
            id_ = record.reference or (record.uuid if record.handed else None)
            if id_ is not None:
                found = await sdk.payment(id_)
                if found is not None:
                    self.absorb(found)
            elif (
                record.direction == "in"
                and record.state == PENDING
                and record.expires_at is not None
                and now_ms() > record.expires_at + _EXPIRED_AFTER_MS
            ):
                record.state = EXPIRED
                self.journal.save(record)
                self.ring()

    async def _count(self, sdk: Sdk) -> None:
        deposits = await sdk.deposits()
        before = self.journal.fact("deposits") or []
        if deposits != before:
            self.journal.remember("deposits", deposits)
            for deposit in deposits:
                if deposit not in before:
                    self.journal.tell({"notice": "deposit", **deposit})
        await self.count_balance(sdk, sum(deposit["amount_msat"] for deposit in deposits))

    async def count_balance(self, sdk: Sdk, onchain_msat: int | None = None) -> None:
        """Keeps the balance; only where the operators were heard since the start."""
        if not sdk.synced:
            return
        _, balance_sats = await sdk.info()
        known = self.journal.fact("balance")
        if onchain_msat is None:
            onchain_msat = known["onchain_msat"] if known else 0
        counted = {"spendable_msat": msat(balance_sats), "onchain_msat": onchain_msat}
        self.journal.remember("balance", counted | {"as_of": now_ms()})
        if known is None or {name: known[name] for name in counted} != counted:
            self.journal.tell({"notice": "balance", **(self.balance() or {})})
            self.ring()

    def _set_state(self, state: str, detail: str | None) -> None:
        if (state, detail) != (self.state, self.detail):
            self.state, self.detail = state, detail
            self.journal.tell({"notice": "node", "state": state, "detail": detail})
            self.ring()

    # What the SDK tells by itself

    async def hear(self, event: Any) -> None:
        """An event of the SDK."""
        if self._closed:
            return
        kinds = breez.SdkEvent
        if isinstance(event, kinds.SYNCED):
            self._synced_events += 1
            self._synced_bell.set()
            self._synced_bell = asyncio.Event()
        elif isinstance(
            event,
            kinds.PAYMENT_SUCCEEDED
            | kinds.PAYMENT_PENDING
            | kinds.PAYMENT_FAILED
            | kinds.PAYMENT_METADATA_UPDATED,
        ):
            seen = convert.seen(event.payment)
            if seen is not None:
                self.absorb(seen)
            if self.sdk is not None:
                await self.count_balance(self.sdk)
        elif isinstance(
            event, kinds.NEW_DEPOSITS | kinds.UNCLAIMED_DEPOSITS | kinds.CLAIMED_DEPOSITS
        ):
            self._look_now.set()

    async def close(self) -> None:
        """Ends the SDK and the journal."""
        self._closed = True
        if self.sdk is not None:
            try:
                await self.sdk.disconnect()
            except Refusal as refusal:
                _log.warning("the SDK did not end in order: %s", refusal.message)
        self.journal.close()


class _Listener(breez.EventListener):
    """Events come on the process's own loop."""

    def __init__(self, wallet: Wallet) -> None:
        self._wallet = wallet

    async def on_event(self, event: Any) -> None:
        """Takes one event; a failure here must not reach the SDK."""
        try:
            await self._wallet.hear(event)
        except Refusal as refusal:
            _log.warning("an event was not taken over yet: %s", refusal.message)
        except Exception as error:  # noqa: BLE001 - the next round lists what this one missed
            _log.error("an event broke off: %s", type(error).__name__, exc_info=True)
