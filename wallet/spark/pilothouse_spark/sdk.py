"""The package behind one door: every call under a time-out of ours, every error in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import breez_sdk_spark as breez

from . import convert
from .errors import Refusal, not_reachable, refused, timed_out, without_secrets

T = TypeVar("T")
# `breez_sdk_spark.connect`, or a test's stand-in for it.
Connect = Callable[[Any], Awaitable[Any]]
PAGE = 100


@dataclass(frozen=True)
class Waits:
    """How long each kind of call may take, in seconds, and how often the wallet looks around."""

    connect: float = 30.0
    local: float = 10.0
    remote: float = 30.0
    sync: float = 60.0
    send: float = 40.0
    stop: float = 4.0
    between_looks: float = 60.0
    after_trouble: float = 10.0


@dataclass(frozen=True)
class Secrets:
    """What the executor says on standard input. Never printed."""

    network: str
    words: str
    passphrase: str | None
    api_key: str | None

    def __repr__(self) -> str:
        """None of it."""
        return "Secrets(…)"

    def all(self) -> list[str]:
        """What must stand in no text of ours."""
        long = [self.words, self.passphrase or "", self.api_key or ""]
        return [text for text in long if len(text) >= 4]


class Sdk:
    """A connected wallet of the package."""

    def __init__(self, handle: Any, waits: Waits) -> None:
        self._handle = handle
        self.waits = waits
        # Set once a sync with the operators was seen to end well.
        self.synced = False

    @classmethod
    async def connect(cls, secrets: Secrets, storage: Path, connect: Connect, waits: Waits) -> Sdk:
        """Opens the wallet of these words. Works without the network on regtest."""
        if secrets.network not in convert.NETWORKS:
            raise refused(
                "network_not_available",
                f"Spark has a mainnet and Lightspark's hosted regtest, and no {secrets.network}.",
            )
        config = breez.default_config(convert.NETWORKS[secrets.network])
        config.api_key = secrets.api_key
        # A payment over Lightning has a preimage as its proof, and fewer parties are talked to.
        config.prefer_spark_over_lightning = False
        config.lnurl_domain = None
        config.real_time_sync_server_url = None
        config.use_default_external_input_parsers = False
        seed = breez.Seed.MNEMONIC(mnemonic=secrets.words, passphrase=secrets.passphrase)
        request = breez.ConnectRequest(config=config, seed=seed, storage_dir=str(storage))
        try:
            async with asyncio.timeout(waits.connect):
                handle = await connect(request)
        except TimeoutError:
            raise timed_out("The Spark SDK", waits.connect) from None
        except breez.SdkError as error:
            told = convert.error(error, synced=False)
            told.message = without_secrets(told.message, secrets.all())
            raise told from None
        return cls(handle, waits)

    async def _call(
        self, what: str, call: Awaitable[T], within: float, request: str | None = None
    ) -> T:
        try:
            # Not `wait_for`: before Python 3.12 it may swallow that its caller was cancelled.
            async with asyncio.timeout(within):
                return await call
        except TimeoutError:
            raise timed_out(what, within) from None
        except breez.SdkError as error:
            raise convert.error(error, synced=self.synced, request=request) from None

    async def listen(self, listener: Any) -> None:
        """Events go to this listener until the end."""
        await self._call("The SDK", self._handle.add_event_listener(listener), self.waits.local)

    async def info(self) -> tuple[str, int]:
        """Identity key and cached balance in sats. `ensure_synced` is never asked for: it may
        wait for ever, and after a failed sync it answers zero as if that were known."""
        request = breez.GetInfoRequest(ensure_synced=False)
        answer = await self._call("The SDK", self._handle.get_info(request), self.waits.local)
        return answer.identity_pubkey, answer.balance_sats

    async def reach(self) -> None:
        """Asks the operators for something that only they know. A refusal says why they did not
        answer."""
        await self._call("Spark", self._handle.get_user_settings(), self.waits.remote)

    async def sync(self) -> None:
        """Syncs. That it returns proves nothing: the SDK swallows what went wrong."""
        request = breez.SyncWalletRequest()
        await self._call("Spark's sync", self._handle.sync_wallet(request), self.waits.sync)

    async def parse(self, text: str) -> Any:
        """What the request is."""
        call = self._handle.parse(text)
        return await self._call("The name's server", call, self.waits.remote, text)

    async def receive(self, method: Any) -> str:
        """Makes an address or an invoice."""
        request = breez.ReceivePaymentRequest(payment_method=method)
        answer = await self._call("Spark", self._handle.receive_payment(request), self.waits.remote)
        return answer.payment_request

    async def prepare(
        self, request: str, amount_sats: int | None, max_fee_msat: int | None
    ) -> convert.Prepared:
        """Prices a payment; sends nothing."""
        prepare = breez.PrepareSendPaymentRequest(
            payment_request=breez.PaymentRequest.INPUT(request),
            amount=amount_sats,
            fee_policy=breez.FeePolicy.FEES_EXCLUDED,
        )
        call = self._handle.prepare_send_payment(prepare)
        answer = await self._call("Spark", call, self.waits.remote, request)
        return convert.prepared(answer, max_fee_msat)

    async def send(self, prepared: convert.Prepared, uuid: str) -> convert.Seen:
        """Sends, under this UUID. Errors are the package's own, and there is no time-out: who
        calls must not let go of it."""
        answer = await self._handle.send_payment(
            breez.SendPaymentRequest(
                prepare_response=prepared.response,
                options=prepared.options,
                idempotency_key=uuid,
            )
        )
        found = convert.seen(answer.payment)
        if found is None:
            raise Refusal("bad_answer", "The SDK answered with a payment of tokens.")
        return found

    async def payment(self, id_: str) -> convert.Seen | None:
        """The payment of this id, as far as the SDK's storage knows."""
        call = self._handle.get_payment(breez.GetPaymentRequest(payment_id=id_))
        try:
            async with asyncio.timeout(self.waits.local):
                answer = await call
        except TimeoutError:
            raise timed_out("The SDK", self.waits.local) from None
        except breez.SdkError as error:
            if convert.is_not_found(error):
                return None
            raise convert.error(error, synced=self.synced) from None
        return convert.seen(answer.payment)

    async def payments(self, from_secs: int | None, offset: int) -> tuple[list[Any], bool]:
        """A page of payments, oldest first, and whether it is the last one."""
        request = breez.ListPaymentsRequest(
            from_timestamp=from_secs, offset=offset, limit=PAGE, sort_ascending=True
        )
        answer = await self._call("The SDK", self._handle.list_payments(request), self.waits.local)
        found = [convert.seen(payment) for payment in answer.payments]
        return [one for one in found if one is not None], len(answer.payments) < PAGE

    async def deposits(self) -> list[dict[str, Any]]:
        """On-chain deposits that are not part of the balance yet."""
        request = breez.ListUnclaimedDepositsRequest()
        call = self._handle.list_unclaimed_deposits(request)
        answer = await self._call("The SDK", call, self.waits.remote)
        return [convert.deposit(deposit) for deposit in answer.deposits]

    async def claim(self, txid: str, vout: int, max_fee_sats: int | None) -> convert.Seen | str:
        """Claims a deposit: the payment that it became, or how far it got."""
        fee = None
        if max_fee_sats is not None:
            fee = breez.MaxFee(onchain=breez.MaxOnchainFee.FIXED(max_fee_sats))
        request = breez.ClaimDepositRequest(txid=txid, vout=vout, max_fee=fee)
        answer = await self._call("Spark", self._handle.claim_deposit(request), self.waits.remote)
        outcomes = breez.ClaimDepositOutcome
        if isinstance(answer.outcome, outcomes.SETTLED):
            found = convert.seen(answer.outcome.payment)
            if found is not None:
                return found
        return "deferred" if isinstance(answer.outcome, outcomes.DEFERRED) else "submitted"

    async def exit_state(self) -> str:
        """What a withdrawal without the operators' help is built from."""
        call = self._handle.export_unilateral_exit_state()
        return (await self._call("The SDK", call, self.waits.local)).exit_state

    async def disconnect(self) -> None:
        """Ends the SDK's own tasks."""
        await self._call("The SDK", self._handle.disconnect(), self.waits.stop)


def no_sync_seen() -> Refusal:
    """A sync that ended without the event that says so."""
    return not_reachable("they answer, but no sync came to its end")
