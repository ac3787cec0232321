"""What the journal keeps of a payment, and how the wire shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# `wallet::wire::PaymentState`, as far as it is used here.
REQUESTED = "requested"
PENDING = "pending"
SETTLED = "settled"
FAILED = "failed"
EXPIRED = "expired"
UNKNOWN = "unknown"

# Nothing more is expected of these.
OVER = (SETTLED, FAILED, EXPIRED)


@dataclass
class Record:
    """One payment, in or out; amounts in msat, times in ms since 1970."""

    key: str
    account: str
    direction: str
    rail: str
    state: str
    terms: str
    amount_msat: int | None
    request: str | None
    created_at: int
    updated_at: int
    max_fee_msat: int | None = None
    fee_msat: int | None = None
    payment_hash: str | None = None
    preimage: str | None = None
    # The SDK's own id of the payment, which for ours is the UUID that we chose.
    reference: str | None = None
    # Chosen before the SDK is asked; the same for the same key, always.
    uuid: str | None = None
    # Whether the SDK was given it under that UUID: from then on only a look-up says what became
    # of it.
    handed: int = 0
    # Not a payment of its own but a standing address: not part of the history.
    standing: int = 0
    payee: str | None = None
    memo: str = ""
    expires_at: int | None = None
    detail: str | None = None

    def shown(self) -> dict[str, Any]:
        """As `wallet::wire::Payment` is written; besides, whether it was asked for here, and
        whether the SDK was given it."""
        return {
            "ours": bool(self.terms),
            "given": bool(self.handed),
            "key": self.key,
            "account": self.account,
            "direction": self.direction,
            "rail": self.rail,
            "state": self.state,
            "amount_msat": self.amount_msat or 0,
            "fee_msat": self.fee_msat,
            "payment_hash": self.payment_hash,
            "reference": self.reference,
            "preimage": self.preimage,
            "request": self.request,
            "payee": self.payee,
            "memo": self.memo,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "expires_at": self.expires_at,
            "detail": self.detail,
            "waits_for": None,
        }

    def requested(self) -> dict[str, Any]:
        """As `wallet::wire::PaymentRequest` is written."""
        return {
            "key": self.key,
            "rail": self.rail,
            "text": self.request,
            "payment_hash": self.payment_hash,
            "amount_msat": self.amount_msat,
            "expires_at": self.expires_at,
        }
