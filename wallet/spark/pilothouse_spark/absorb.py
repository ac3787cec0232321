"""What the SDK says of a payment, taken into the journal by exact reference only."""

from __future__ import annotations

from dataclasses import replace

from .convert import Seen
from .journal import Journal
from .records import FAILED, PENDING, SETTLED, Record


def absorb(journal: Journal, seen: Seen) -> bool:
    """Takes it over; whether anything changed. The same thing twice changes nothing."""
    record = _record_of(journal, seen)
    if record is None:
        journal.save(_uninvited(seen))
        return True
    changed = replace(record)
    changed.reference = seen.id
    if _follows(record, seen.state):
        changed.state = seen.state
        changed.amount_msat, changed.fee_msat = seen.amount_msat, seen.fee_msat
        if seen.state == FAILED:
            changed.detail = "Spark says that it failed."
        else:
            changed.detail = None
    changed.payment_hash = record.payment_hash or seen.payment_hash
    changed.preimage = record.preimage or seen.preimage
    changed.payee = record.payee or seen.payee
    if changed.direction == "out":
        # The SDK knows it, however it came by it.
        changed.handed = 1
    if changed == record:
        return False
    journal.save(changed)
    return True


def _follows(record: Record, state: str) -> bool:
    """Money that moved stays moved; what failed may still turn out to have arrived."""
    if record.state == SETTLED:
        return False
    stale = record.state == FAILED and record.handed and state == PENDING
    return not stale


def _record_of(journal: Journal, seen: Seen) -> Record | None:
    if seen.direction == "out":
        return journal.out_by_id(seen.id)
    record = journal.by_reference("in", seen.id)
    if record is None and seen.payment_hash is not None:
        record = journal.in_by_hash(seen.payment_hash)
    if record is None and seen.request is not None:
        record = journal.in_by_request(seen.request)
    if record is not None and record.reference not in (None, seen.id):
        # Paid once more: money of its own.
        return None
    return record


def _uninvited(seen: Seen) -> Record:
    """Money that came, or went on another device of the same words."""
    return Record(
        key=f"spark-{seen.direction}-{seen.id}"[:200],
        account="operator",
        direction=seen.direction,
        rail=seen.rail,
        state=seen.state,
        terms="",
        amount_msat=seen.amount_msat,
        fee_msat=seen.fee_msat,
        request=seen.request,
        payment_hash=seen.payment_hash,
        preimage=seen.preimage,
        payee=seen.payee,
        memo=seen.memo,
        reference=seen.id,
        handed=1,
        created_at=seen.created_at,
        updated_at=seen.created_at,
    )
