"""The only place where the package's types meet ours."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

import breez_sdk_spark as breez

from .amounts import msat
from .errors import Refusal, is_transport, not_reachable, refused
from .forms import form_of
from .records import FAILED, PENDING, SETTLED

_log = logging.getLogger(__name__)

NETWORKS = {"regtest": breez.Network.REGTEST, "mainnet": breez.Network.MAINNET}
_CHAINS = {"regtest": breez.BitcoinNetwork.REGTEST, "mainnet": breez.BitcoinNetwork.BITCOIN}
_STATES = {
    breez.PaymentStatus.COMPLETED: SETTLED,
    breez.PaymentStatus.PENDING: PENDING,
    breez.PaymentStatus.FAILED: FAILED,
}


@dataclass(frozen=True)
class Target:
    """What a payment request says; amounts in msat, times in ms."""

    rail: str
    request: str
    payee: str | None
    payment_hash: str | None
    amount_msat: int | None
    expires_at: int | None
    memo: str

    def single_use(self) -> bool:
        """Whether a second payment to it is never meant."""
        return self.rail == "bolt11" or (self.rail == "spark" and self.expires_at is not None)


@dataclass(frozen=True)
class Seen:
    """A payment as the SDK tells of it."""

    id: str
    direction: str
    rail: str
    state: str
    amount_msat: int
    fee_msat: int
    created_at: int
    payment_hash: str | None
    preimage: str | None
    request: str | None
    payee: str | None
    memo: str


def target(parsed: Any, request: str, network: str) -> Target:
    """What the SDK recognised, where this wallet can pay it itself."""
    kinds = breez.InputType
    if isinstance(parsed, kinds.BOLT11_INVOICE):
        details = parsed[0]
        _same_network(details.network, network)
        return Target(
            "bolt11",
            request,
            details.payee_pubkey,
            details.payment_hash.lower(),
            details.amount_msat,
            (details.timestamp + details.expiry) * 1_000,
            details.description or "",
        )
    if isinstance(parsed, kinds.BITCOIN_ADDRESS):
        details = parsed[0]
        _same_network(details.network, network)
        return Target("onchain", request, details.address, None, None, None, "")
    if isinstance(parsed, kinds.SPARK_ADDRESS):
        details = parsed[0]
        _same_network(details.network, network)
        return Target("spark", request, details.identity_public_key, None, None, None, "")
    if isinstance(parsed, kinds.SPARK_INVOICE):
        return _spark_invoice(parsed[0], request, network)
    form = form_of(request)
    raise refused(
        "resolve_first",
        f"This is {form.value}, which this process does not pay itself. Nothing was done.",
        "Pay the invoice or the address that it leads to.",
    )


def _spark_invoice(details: Any, request: str, network: str) -> Target:
    _same_network(details.network, network)
    if details.token_identifier is not None:
        raise refused("token_invoice", "This Spark invoice asks for a token, not for bitcoin.")
    amount = None if details.amount is None else msat(details.amount)
    expiry = None if details.expiry_time is None else details.expiry_time * 1_000
    payee = details.identity_public_key
    return Target("spark", request, payee, None, amount, expiry, details.description or "")


def _same_network(of_request: Any, network: str) -> None:
    if of_request != _CHAINS[network]:
        name = of_request.name.lower()
        raise refused("wrong_network", f"This is for {name}; the wallet is on {network}.")


@dataclass(frozen=True)
class Prepared:
    """A payment that the SDK priced: nothing was sent."""

    rail: str
    amount_msat: int
    fee_msat: int
    response: Any
    options: Any


def prepared(response: Any, max_fee_msat: int | None) -> Prepared:
    """Reads a prepared payment; on-chain the fastest speed within the fee that was allowed."""
    if response.token_identifier is not None or response.conversion_estimate is not None:
        raise refused("token_payment", "The SDK would move tokens for this. Nothing was sent.")
    method, kinds, options = response.payment_method, breez.SendPaymentMethod, None
    if isinstance(method, kinds.BOLT11_INVOICE):
        # Over Lightning always, so that a preimage proves it.
        rail, fee = "bolt11", method.lightning_fee_sats
        options = breez.SendPaymentOptions.BOLT11_INVOICE(False, None)
    elif isinstance(method, kinds.SPARK_ADDRESS | kinds.SPARK_INVOICE):
        rail, fee = "spark", method.fee
    elif isinstance(method, kinds.BITCOIN_ADDRESS):
        rail = "onchain"
        fee, speed = _speed(method.fee_quote, max_fee_msat)
        options = breez.SendPaymentOptions.BITCOIN_ADDRESS(speed)
    else:
        raise refused("not_payable", "The SDK prepared a kind of payment that is not sent here.")
    return Prepared(rail, msat(response.amount), msat(fee), response, options)


def _speed(quote: Any, max_fee_msat: int | None) -> tuple[int, Any]:
    if quote.is_estimate:
        raise refused("fee_not_known", "The on-chain fee is an estimate only. Nothing was sent.")
    speeds = breez.OnchainConfirmationSpeed
    offers = [
        (quote.speed_fast, speeds.FAST),
        (quote.speed_medium, speeds.MEDIUM),
        (quote.speed_slow, speeds.SLOW),
    ]
    priced = [(q.user_fee_sat + q.l1_broadcast_fee_sat, speed) for q, speed in offers]
    if max_fee_msat is None:
        return priced[0]
    within = [(fee, speed) for fee, speed in priced if msat(fee) <= max_fee_msat]
    return within[0] if within else min(priced, key=lambda offer: offer[0])


def seen(payment: Any) -> Seen | None:
    """A payment of bitcoin; tokens are not counted here and give none."""
    methods, kinds = breez.PaymentMethod, breez.PaymentDetails
    details = payment.details
    if payment.method == methods.TOKEN or isinstance(details, kinds.TOKEN):
        return None
    direction = "out" if payment.payment_type == breez.PaymentType.SEND else "in"
    payment_hash = preimage = request = payee = None
    memo = ""
    rail = {methods.LIGHTNING: "bolt11", methods.SPARK: "spark"}.get(payment.method, "onchain")
    if isinstance(details, kinds.LIGHTNING):
        payment_hash = details.htlc_details.payment_hash.lower()
        preimage = _proof(details.htlc_details.preimage, payment_hash)
        request, payee = details.invoice, details.destination_pubkey
        memo = details.description or ""
    elif isinstance(details, kinds.SPARK) and details.invoice_details is not None:
        request = details.invoice_details.invoice
        memo = details.invoice_details.description or ""
    return Seen(
        payment.id,
        direction,
        rail,
        _STATES[payment.status],
        msat(payment.amount),
        msat(payment.fees),
        payment.timestamp * 1_000,
        payment_hash,
        preimage,
        request,
        payee,
        memo[:2_000],
    )


def _proof(preimage: str | None, payment_hash: str) -> str | None:
    if not preimage:
        return None
    try:
        proves = hashlib.sha256(bytes.fromhex(preimage)).hexdigest() == payment_hash
    except ValueError:
        proves = False
    if not proves:
        _log.warning("a preimage that proves nothing was dropped")
    return preimage.lower() if proves else None


def deposit(info: Any) -> dict[str, Any]:
    """An on-chain deposit that is not part of the balance yet."""
    return {
        "txid": info.txid,
        "vout": info.vout,
        "amount_msat": msat(info.amount_sats),
        "is_mature": info.is_mature,
        "refund_txid": info.refund_tx_id,
        "claim_error": _claim_error(info.claim_error),
    }


def _claim_error(error: Any) -> dict[str, Any] | None:
    kinds = breez.DepositClaimError
    if error is None:
        return None
    if isinstance(error, kinds.MAX_DEPOSIT_CLAIM_FEE_EXCEEDED):
        fee = msat(error.required_fee_sats)
        return refused(
            "fee_exceeds", f"Claiming it costs {fee} msat, more than is allowed."
        ).body() | {"required_fee_msat": fee}
    if isinstance(error, kinds.MISSING_UTXO):
        return Refusal("missing_utxo", "The deposit's output is not seen yet.").body()
    if isinstance(error, kinds.DEPOSIT_TOO_SMALL):
        return refused("too_small", "It is worth less than claiming it costs.").body()
    return Refusal("claim_failed", error.message[:400]).body()


def error(error: Any, *, synced: bool, request: str | None = None) -> Refusal:
    """An SDK error in our words. Before the first sync the SDK calls every lack of data a lack of
    funds, and a name that it could not resolve it calls invalid: neither is said here."""
    kinds, text = breez.SdkError, _text(error)
    if isinstance(error, kinds.InsufficientFunds) or "insufficient funds" in text.lower():
        if not synced:
            return not_reachable("the balance is not known before the first sync")
        return refused("insufficient_balance", "The Spark balance does not cover this.")
    if isinstance(error, kinds.NetworkError | kinds.ChainServiceError) or is_transport(text):
        return not_reachable(text)
    if isinstance(error, kinds.LnurlError):
        return Refusal("lnurl", f"The LNURL server answered with an error: {text}")
    if isinstance(error, kinds.InvalidInput):
        if request is not None and form_of(request).needs_network():
            return not_reachable(f"{form_of(request).value} could not be resolved")
        return refused("bad_request", f"The SDK does not take this: {text}")
    if isinstance(error, kinds.MaxDepositClaimFeeExceeded):
        fee = msat(error.required_fee_sats)
        return refused("fee_exceeds", f"Claiming it costs {fee} msat, more than is allowed.")
    if isinstance(error, kinds.MissingUtxo):
        return refused("no_such_deposit", "The chain does not show this deposit.")
    if isinstance(error, kinds.DepositTooSmall):
        return refused("too_small", "The deposit is worth less than claiming it costs.")
    if isinstance(error, kinds.DepositClaimInProgress):
        return Refusal("in_progress", "This deposit is being claimed already.", retryable=True)
    if isinstance(error, kinds.StorageError):
        return Refusal("storage", f"The SDK's storage failed: {text}")
    if isinstance(error, kinds.Generic) and "api key" in text.lower():
        return refused(
            "api_key_missing",
            f"The mainnet needs a Breez API key ({text}). Nothing was started.",
            "Get one from Breez, and set it in the wallet's settings.",
        )
    return Refusal("sdk", f"The Spark SDK failed: {text}")


def is_not_found(error: Any) -> bool:
    """Whether the SDK's storage has no such payment; it says so in words only."""
    return isinstance(error, breez.SdkError.StorageError) and "no rows" in _text(error).lower()


def certainly_unsent(error: Any) -> bool:
    """Errors that the SDK raises before it gives anything away. A look-up confirms it."""
    kinds = breez.SdkError
    return isinstance(error, kinds.InsufficientFunds | kinds.InvalidInput | kinds.InvalidUuid)


def _text(error: Any) -> str:
    values = getattr(error, "_values", None)
    return (str(values[0]) if values else str(error))[:400]
