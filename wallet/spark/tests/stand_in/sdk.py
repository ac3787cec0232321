"""The stand-in's `connect` and wallet handle: the package's types in, the package's types out."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Awaitable, Callable
from typing import Any

import breez_sdk_spark as breez

from . import bolt11
from .operators import Operators

# As the real package words it without a network.
_DOWN = (
    "Operator RPC error: Transport error: Connection error: status: Unavailable, "
    'message: "dns error", details: [], metadata: MetadataMap { headers: {} }'
)
_SOURCE = breez.PaymentRequestSource(bip_21_uri=None, bip_353_address=None)
_REGTEST = breez.BitcoinNetwork.REGTEST
_STATUS = {
    "completed": breez.PaymentStatus.COMPLETED,
    "pending": breez.PaymentStatus.PENDING,
    "failed": breez.PaymentStatus.FAILED,
}


def connector(operators: Operators) -> Callable[[Any], Awaitable[Any]]:
    """What stands for `breez_sdk_spark.connect`."""

    async def connect(request: Any) -> StandIn:
        assert isinstance(request, breez.ConnectRequest)
        if request.config.network == breez.Network.MAINNET and not request.config.api_key:
            raise breez.SdkError.Generic("Missing Breez API key")
        words = request.seed.mnemonic
        if len(words.split()) not in (12, 24):
            raise breez.SdkError.Generic(f"mnemonic has an invalid word count: {words}")
        return StandIn(operators, identity(words))

    return connect


def identity(words: str) -> str:
    """The stand-in's identity key of these words."""
    return "02" + hashlib.sha256(" ".join(words.split()).encode()).hexdigest()


class StandIn:
    """Stands for a connected `BreezSdk`."""

    def __init__(self, operators: Operators, wallet: str) -> None:
        self._operators = operators
        self._wallet = wallet
        self._listeners: list[Any] = []
        self._version = operators.count("version")
        self._following = asyncio.create_task(self._follow())

    # Events

    async def add_event_listener(self, listener: Any) -> str:
        self._listeners.append(listener)
        return "listener"

    async def _emit(self, event: Any) -> None:
        for listener in self._listeners:
            await listener.on_event(event)

    async def _follow(self) -> None:
        """Tells of what changed at the operators, as a subscription does."""
        kinds = {
            "completed": breez.SdkEvent.PAYMENT_SUCCEEDED,
            "pending": breez.SdkEvent.PAYMENT_PENDING,
            "failed": breez.SdkEvent.PAYMENT_FAILED,
        }
        while True:
            await asyncio.sleep(0.02)
            try:
                newest = self._operators.count("version")
                if newest == self._version or self._operators.offline():
                    continue
                for row in self._operators.payments(self._wallet):
                    if self._version < row["version"] <= newest and row["type"] == "receive":
                        self._operators.store(self._wallet, row["id"])
                        await self._emit(kinds[row["status"]](_payment(row)))
                    elif self._version < row["version"] <= newest and row["stored"]:
                        await self._emit(kinds[row["status"]](_payment(row)))
                if self._operators.deposits(self._wallet):
                    await self._emit(breez.SdkEvent.NEW_DEPOSITS(self._deposits()))
                self._version = newest
            except sqlite3.Error:
                continue

    # Looking

    async def get_info(self, request: Any) -> Any:
        return breez.GetInfoResponse(
            identity_pubkey=self._wallet,
            balance_sats=self._operators.balance(self._wallet),
            token_balances={},
            recoverable_funds_sats=0,
        )

    async def get_user_settings(self) -> Any:
        self._reach()
        return breez.UserSettings(
            spark_private_mode_enabled=True,
            stable_balance_active_label=None,
            spark_master_identity_public_key=None,
        )

    async def sync_wallet(self, request: Any) -> Any:
        """Swallows that nobody answers, as the real one does."""
        if not self._operators.offline():
            self._operators.store(self._wallet)
            await self._emit(breez.SdkEvent.SYNCED())
        return breez.SyncWalletResponse()

    async def parse(self, text: str) -> Any:
        kinds = breez.InputType
        invoice = bolt11.decode(text)
        if invoice is not None:
            return kinds.BOLT11_INVOICE(_details(invoice))
        known = self._operators.known(text)
        if known is not None:
            return kinds.SPARK_INVOICE(
                breez.SparkInvoiceDetails(
                    invoice=text,
                    identity_public_key=known["wallet"],
                    network=_REGTEST,
                    amount=known["amount"],
                    token_identifier=None,
                    expiry_time=known["expires_at"],
                    description=known["memo"],
                    sender_public_key=None,
                )
            )
        if text.startswith("sparkrt1p") and len(text) == 75:
            return kinds.SPARK_ADDRESS(
                breez.SparkAddressDetails(
                    address=text, identity_public_key=text[9:], network=_REGTEST, source=_SOURCE
                )
            )
        for prefix, network in (("bcrt1q", _REGTEST), ("bc1q", breez.BitcoinNetwork.BITCOIN)):
            if text.startswith(prefix):
                return kinds.BITCOIN_ADDRESS(
                    breez.BitcoinAddressDetails(address=text, network=network, source=_SOURCE)
                )
        raise breez.SdkError.InvalidInput("invalid input")

    async def get_payment(self, request: Any) -> Any:
        for row in self._operators.payments(self._wallet):
            if row["id"] == request.payment_id and row["stored"]:
                return breez.GetPaymentResponse(payment=_payment(row))
        raise breez.SdkError.StorageError("Underlying implementation error: Query returned no rows")

    async def list_payments(self, request: Any) -> Any:
        assert request.sort_ascending
        rows = [
            row
            for row in self._operators.payments(self._wallet)
            if row["stored"] and row["at"] >= (request.from_timestamp or 0)
        ]
        page = rows[request.offset : request.offset + request.limit]
        return breez.ListPaymentsResponse(payments=[_payment(row) for row in page])

    # Receiving

    async def receive_payment(self, request: Any) -> Any:
        self._reach()
        method, kinds = request.payment_method, breez.ReceivePaymentMethod
        if isinstance(method, kinds.SPARK_ADDRESS):
            text = f"sparkrt1p{self._wallet}"
        elif isinstance(method, kinds.BITCOIN_ADDRESS):
            text = f"bcrt1q{self._wallet[2:40]}"
        elif isinstance(method, kinds.SPARK_INVOICE):
            text = self._operators.spark_invoice(
                self._wallet, method.amount, method.description, method.expiry_time
            )
        else:
            text = self._operators.invoice(
                self._wallet, method.amount_sats, method.description, method.expiry_secs
            )
        return breez.ReceivePaymentResponse(payment_request=text, fee=0, cross_chain_info=None)

    async def list_unclaimed_deposits(self, request: Any) -> Any:
        return breez.ListUnclaimedDepositsResponse(deposits=self._deposits())

    async def claim_deposit(self, request: Any) -> Any:
        self._reach()
        outcomes = breez.ClaimDepositOutcome
        fee = 150
        if request.max_fee is not None and request.max_fee.onchain.amount < fee:
            raise breez.SdkError.MaxDepositClaimFeeExceeded(
                request.txid, request.vout, request.max_fee.onchain.amount, fee, ""
            )
        amount = self._operators.take_deposit(self._wallet, request.txid, request.vout)
        if amount is None:
            raise breez.SdkError.MissingUtxo(request.txid, request.vout)
        # As there: the amount is what is credited.
        id_ = hashlib.sha256(request.txid.encode()).hexdigest()[:36]
        details = {"txid": request.txid, "vout": request.vout}
        self._operators.add(
            id_, self._wallet, "receive", "completed", amount - fee, fee, "deposit", details
        )
        self._operators.store(self._wallet, id_)
        row = next(r for r in self._operators.payments(self._wallet) if r["id"] == id_)
        return breez.ClaimDepositResponse(outcome=outcomes.SETTLED(_payment(row)))

    def _deposits(self) -> list[Any]:
        return [
            breez.DepositInfo(
                txid=txid,
                vout=vout,
                amount_sats=amount,
                is_mature=bool(mature),
                refund_tx=None,
                refund_tx_id=None,
                refund_state=None,
                claim_error=None,
                instant_claim_status=None,
                max_claim_fee=None,
            )
            for txid, vout, amount, mature in self._operators.deposits(self._wallet)
        ]

    # Sending

    async def prepare_send_payment(self, request: Any) -> Any:
        assert isinstance(request.payment_request, breez.PaymentRequest.INPUT)
        parsed = await self.parse(request.payment_request.input)
        self._reach()
        kinds, methods = breez.InputType, breez.SendPaymentMethod
        if isinstance(parsed, kinds.BOLT11_INVOICE):
            asked = parsed[0].amount_msat
            amount = request.amount if asked is None else asked // 1_000
            method = methods.BOLT11_INVOICE(parsed[0], None, amount // 200 + 1)
            fee = method.lightning_fee_sats
        elif isinstance(parsed, kinds.SPARK_INVOICE):
            amount, fee = parsed[0].amount, 0
            method = methods.SPARK_INVOICE(parsed[0], 0, None)
        elif isinstance(parsed, kinds.SPARK_ADDRESS):
            amount, fee = request.amount, 0
            method = methods.SPARK_ADDRESS(parsed[0].address, 0, None)
        else:
            speeds = [
                breez.SendOnchainSpeedFeeQuote(user_fee_sat=sats, l1_broadcast_fee_sat=100)
                for sats in (900, 500, 100)
            ]
            amount, fee = request.amount, 200
            quote = breez.SendOnchainFeeQuote(
                id="quote",
                expires_at=int(time.time()) + 600,
                speed_fast=speeds[0],
                speed_medium=speeds[1],
                speed_slow=speeds[2],
                is_estimate=False,
            )
            method = methods.BITCOIN_ADDRESS(parsed[0], quote)
        if amount + fee > self._operators.balance(self._wallet):
            raise breez.SdkError.SparkError("Tree service error: insufficient funds")
        return breez.PrepareSendPaymentResponse(
            payment_method=method,
            amount=amount,
            token_identifier=None,
            conversion_estimate=None,
            fee_policy=breez.FeePolicy.FEES_EXCLUDED,
        )

    async def send_payment(self, request: Any) -> Any:
        id_ = request.idempotency_key
        with contextlib.suppress(breez.SdkError.StorageError):
            known = await self.get_payment(breez.GetPaymentRequest(payment_id=id_))
            return breez.SendPaymentResponse(payment=known.payment)
        self._operators.count("sends", 1)
        mood = self._operators.next_mood()
        if mood == "refused":
            raise breez.SdkError.InsufficientFunds(None)
        if mood == "dropped" or self._operators.offline():
            raise breez.SdkError.SparkError(_DOWN)
        try:
            self._transfer(id_, request, mood)
        except sqlite3.IntegrityError:
            raise breez.SdkError.SparkError("Operator RPC error: transfer already exists") from None
        if mood == "hang":
            await asyncio.sleep(3_600)
        if mood == "lost":
            raise breez.SdkError.NetworkError("connection reset")
        self._operators.store(self._wallet, id_)
        row = next(r for r in self._operators.payments(self._wallet) if r["id"] == id_)
        return breez.SendPaymentResponse(payment=_payment(row))

    def _transfer(self, id_: str, request: Any, mood: str) -> None:
        prepared, methods = request.prepare_response, breez.SendPaymentMethod
        method = prepared.payment_method
        details: dict[str, Any] = {"memo": ""}
        status, name, fee = ("pending" if mood == "pending" else "completed"), "spark", 0
        to = None
        if isinstance(method, methods.BOLT11_INVOICE):
            assert isinstance(request.options, breez.SendPaymentOptions.BOLT11_INVOICE)
            assert not request.options.prefer_spark
            text, name = method.invoice_details.invoice.bolt11, "lightning"
            fee, to = method.lightning_fee_sats, self._operators.known(text)
            details |= {"invoice": text, "hash": method.invoice_details.payment_hash}
            if to is None:
                status = "pending"
            elif status == "completed":
                details["preimage"] = to["preimage"]
        elif isinstance(method, methods.SPARK_INVOICE):
            details["invoice"] = method.spark_invoice_details.invoice
            to = self._operators.known(details["invoice"])
        elif isinstance(method, methods.SPARK_ADDRESS):
            self._operators.fund(method.address[9:], prepared.amount)
        elif isinstance(method, methods.BITCOIN_ADDRESS):
            speeds, quote = breez.OnchainConfirmationSpeed, method.fee_quote
            paid = {
                speeds.FAST: quote.speed_fast,
                speeds.MEDIUM: quote.speed_medium,
                speeds.SLOW: quote.speed_slow,
            }[request.options.confirmation_speed]
            fee, name = paid.user_fee_sat + paid.l1_broadcast_fee_sat, "withdraw"
            details |= {"txid": hashlib.sha256(id_.encode()).hexdigest()}
        self._operators.add(id_, self._wallet, "send", status, prepared.amount, fee, name, details)
        if to is not None and to["wallet"] != "outside" and status == "completed":
            self._operators.pay_from_outside(to["text"], prepared.amount)

    async def export_unilateral_exit_state(self) -> Any:
        return breez.ExportUnilateralExitStateResponse(exit_state='{"version":2}')

    async def disconnect(self) -> None:
        self._following.cancel()

    def _reach(self) -> None:
        if self._operators.offline():
            raise breez.SdkError.SparkError(_DOWN)


def _details(invoice: bolt11.Invoice) -> Any:
    amount = invoice.amount_sats
    return breez.Bolt11InvoiceDetails(
        amount_msat=None if amount is None else amount * 1_000,
        description=invoice.memo,
        description_hash=None,
        expiry=invoice.expiry_secs,
        invoice=breez.Bolt11Invoice(bolt11=invoice.text, source=_SOURCE),
        min_final_cltv_expiry_delta=18,
        network=_REGTEST,
        payee_pubkey=invoice.payee,
        payment_hash=invoice.payment_hash,
        payment_secret="00" * 32,
        routing_hints=[],
        timestamp=invoice.made_at,
    )


def _payment(row: dict[str, Any]) -> Any:
    details, kinds, methods = row["details"], breez.PaymentDetails, breez.PaymentMethod
    if row["method"] == "lightning":
        shown = kinds.LIGHTNING(
            details.get("memo"),
            details["invoice"],
            bolt11.PAYEE,
            breez.SparkHtlcDetails(
                payment_hash=details["hash"],
                preimage=details.get("preimage"),
                expiry_time=0,
                status=breez.SparkHtlcStatus.PREIMAGE_SHARED,
            ),
            None,
            None,
            None,
            None,
        )
    elif row["method"] == "spark":
        invoice = details.get("invoice")
        paid = invoice and breez.SparkInvoicePaymentDetails(
            description=details.get("memo"), invoice=invoice
        )
        shown = kinds.SPARK(paid or None, None, None)
    elif row["method"] == "withdraw":
        shown = kinds.WITHDRAW(details["txid"])
    else:
        shown = None
    return breez.Payment(
        id=row["id"],
        payment_type=breez.PaymentType.SEND if row["type"] == "send" else breez.PaymentType.RECEIVE,
        status=_STATUS[row["status"]],
        amount=row["amount"],
        fees=row["fees"],
        timestamp=row["at"],
        method=methods[row["method"].upper()],
        details=shown,
        conversion_details=None,
    )
