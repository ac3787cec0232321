//! The laws, each a function under its own name: what must hold after every event, and at rest.

use domain::{
    EffectId, Envelope, EventHash, EventId, IdempotencyKey, Receipt, Recorded, RequestId, StreamId,
};
use engine::{Effect, Event, State, WalletEffect, event::DeskEvent};
use nip90::{
    PaymentPolicy,
    buyer::{BuyerEffect, Spending, Stage},
    provider::{
        ProviderEffect, ProviderEvent, ReceiptState,
        effect::{Message, Publish, refund_of_key},
        execution::Execution,
        payment::Payment,
    },
};
use std::collections::{BTreeSet, HashMap};

use super::{
    desk::{Desk, Disk},
    lightning::Lightning,
    observed::{day_of, request_of},
};

/// A law that does not hold, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    pub detail: String,
}

pub type Checked = Result<(), Violation>;

pub fn broken(invariant: &'static str, detail: impl Into<String>) -> Violation {
    Violation { invariant, detail: detail.into() }
}

fn must(invariant: &'static str, holds: bool, detail: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(broken(invariant, detail())) }
}

/// Folding the recorded bytes gives what the running engine holds.
pub fn replay_equals_memory(when: &str, replayed: &State, memory: &State) -> Checked {
    must("replay_equals_memory", replayed == memory, || {
        let parts = [
            ("provider", replayed.provider == memory.provider),
            ("buyer", replayed.buyer == memory.buyer),
            ("wallet", replayed.wallet == memory.wallet),
            ("relays", replayed.relays == memory.relays),
            ("timelines", replayed.timelines == memory.timelines),
            ("receipts", replayed.receipts == memory.receipts),
        ];
        let differ: Vec<_> =
            parts.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
        format!("{when}: the replayed state differs in {differ:?}")
    })
}

/// Every event hashes to its name, and each stream counts from 1 and links to what was before.
pub fn chain_is_whole(disk: &Disk) -> Checked {
    let law = "chain_is_whole";
    let mut heads: HashMap<StreamId, (u64, EventHash)> = HashMap::new();
    for (hash, canonical) in &disk.log {
        must(law, EventHash::of(canonical) == *hash, || format!("{hash} is not its bytes' hash"))?;
        let envelope = Envelope::parse(canonical).map_err(|e| broken(law, e.to_string()))?;
        let head = heads.entry(envelope.stream.clone()).or_insert((0, EventHash::GENESIS));
        must(law, (envelope.seq, envelope.prev) == (head.0 + 1, head.1), || {
            format!("{} does not follow {} in {}", envelope.seq, head.0, envelope.stream)
        })?;
        *head = (envelope.seq, *hash);
    }
    must(law, heads == disk.heads, || "the heads are not the log's".to_owned())
}

/// A job ends once.
pub fn one_terminal_state_per_job(desk: &Desk, stream: &StreamId) -> Checked {
    let ends = desk.observed.ends.get(stream).copied().unwrap_or(0);
    must("one_terminal_state_per_job", ends <= 1, || format!("{stream} ended {ends} times"))
}

/// Of one provider, relays get at most one result or error for a job.
pub fn one_answer_per_job(answers: &BTreeSet<EventId>, request: &str) -> Checked {
    must("one_answer_per_job", answers.len() <= 1, || {
        format!("{} different answers to {request}", answers.len())
    })
}

/// Money leaves once under a key, and once under a payment hash.
pub fn never_pays_twice(money: &Lightning) -> Checked {
    let mut keys = BTreeSet::new();
    let mut hashes = BTreeSet::new();
    for spent in &money.spent {
        let first = keys.insert((spent.desk, &spent.key)) && hashes.insert(spent.payment_hash);
        must("never_pays_twice", first, || {
            format!("desk {} paid {} ({}) again", spent.desk, spent.key, spent.payment_hash)
        })?;
    }
    Ok(())
}

/// What a job owes goes back once, and never more than came.
pub fn never_refunds_twice(money: &Lightning) -> Checked {
    let law = "never_refunds_twice";
    let mut refunded = BTreeSet::new();
    for spent in &money.spent {
        let Some((id, _)) = refund_of_key(&spent.key) else { continue };
        must(law, refunded.insert((spent.desk, id)), || format!("{id} was given back again"))?;
        let key = IdempotencyKey::of("job", id);
        let came = money.executors[spent.desk].payments.get(&key);
        let came = came.filter(|_| money.taken().any(|(at, k, _)| (at, k) == (spent.desk, &key)));
        let came = came.map_or(0, |payment| payment.amount_msat.get());
        must(law, spent.amount_msat <= came, || {
            format!("{} msat went back of {came} msat that came for {id}", spent.amount_msat)
        })?;
    }
    Ok(())
}

/// A refund counts as done only by the settled payment of its own invoice.
pub fn refunded_only_by_its_settled_payment(
    at: usize,
    money: &Lightning,
    event: &Recorded<Event>,
) -> Checked {
    let Event::Provider(ProviderEvent::Refunded(refunded)) = &event.data else { return Ok(()) };
    let id = request_of(&event.stream);
    let settled = money.spent.iter().any(|spent| {
        spent.desk == at
            && refund_of_key(&spent.key).map(|(id, _)| id) == id
            && spent.payment_hash == refunded.payment_hash
            && spent.amount_msat == refunded.amount_msat.get()
    });
    let proved = refunded.preimage.payment_hash() == refunded.payment_hash;
    must("refunded_only_by_its_settled_payment", settled && proved, || {
        format!("{id:?} counts as refunded; settled: {settled}, proved: {proved}")
    })
}

/// A payment is never given up: it stays open until the wallet knows what became of it.
pub fn no_payment_is_given_up(event: &Recorded<Event>) -> Checked {
    let Event::Desk(DeskEvent::GivenUp(given_up)) = &event.data else { return Ok(()) };
    let pays = matches!(
        given_up.what,
        Effect::Provider(ProviderEffect::PayRefund(_))
            | Effect::Buyer(BuyerEffect::Pay(_))
            | Effect::Wallet(WalletEffect::Pay { .. })
    );
    must("no_payment_is_given_up", !pays, || format!("{} is a payment", given_up.effect))
}

/// A job that failed gives its work to nobody: its money is owed back.
pub fn no_result_of_a_failed_job_leaves(desk: &Desk, publish: &Publish) -> Checked {
    let is_result = matches!(publish.message, Message::Result { .. });
    let job = desk.state.provider.job(&publish.request_id);
    let failed = job.is_some_and(|job| job.execution == Execution::Failed);
    must("no_result_of_a_failed_job_leaves", !(is_result && failed), || {
        format!("the result of {} leaves after it had failed", publish.request_id)
    })
}

/// Nobody is asked to work for a purchase that failed before its request was out.
pub fn no_request_of_a_failed_purchase_leaves(desk: &Desk, id: RequestId, is_out: bool) -> Checked {
    let failed = desk.state.buyer.job(&id).is_some_and(|job| job.stage == Stage::Failed);
    must("no_request_of_a_failed_purchase_leaves", is_out || !failed, || {
        format!("the request {id} leaves after its purchase had failed")
    })
}

/// Where payment comes first, no work is released before the money is ours.
pub fn no_work_before_payment_when_announced_so(
    at: usize,
    desk: &Desk,
    money: &Lightning,
    released: &EffectId,
) -> Checked {
    let law = "no_work_before_payment_when_announced_so";
    let effect = desk.released.iter().find(|pending| pending.id == *released);
    let Some(Effect::Provider(ProviderEffect::Execute(execute))) = effect.map(|p| &p.effect) else {
        return Ok(());
    };
    let id = execute.request_id;
    let Some((price, policy)) = desk.observed.promised.get(&id) else {
        return Err(broken(law, format!("{id} runs and was never accepted")));
    };
    if price.is_zero() || *policy == PaymentPolicy::After {
        return Ok(());
    }
    let paid = desk
        .observed
        .invoiced
        .get(&id)
        .is_some_and(|(hash, _)| money.was_taken(at, &IdempotencyKey::of("job", id), hash));
    must(law, paid, || format!("{id} runs unpaid"))
}

/// A sold job is paid by the payment hash of its own invoice, with money that really came.
pub fn credited_only_by_exact_hash(
    at: usize,
    desk: &Desk,
    money: &Lightning,
    event: &Recorded<Event>,
) -> Checked {
    let law = "credited_only_by_exact_hash";
    let Event::Provider(ProviderEvent::Paid(paid)) = &event.data else { return Ok(()) };
    let Some(id) = request_of(&event.stream) else {
        return Err(broken(law, "a payment stands in no job's stream"));
    };
    let asked = desk.observed.invoiced.get(&id).copied();
    must(law, asked.is_some_and(|(hash, _)| hash == paid.payment_hash), || {
        format!("{id} was credited by another hash than its invoice's")
    })?;
    must(law, paid.preimage.payment_hash() == paid.payment_hash, || {
        format!("{id} was credited without a preimage")
    })?;
    let came = money.was_taken(at, &IdempotencyKey::of("job", id), &paid.payment_hash);
    must(law, came, || format!("{id} was credited and nothing came"))
}

/// The columns add up after every event.
pub fn ledger_adds_up(desk: &Desk) -> Checked {
    let law = "ledger_adds_up";
    let buyer = &desk.state.buyer;
    let ledger = buyer.ledger();
    let sum = ledger.held_msat + ledger.released_msat + ledger.spent_msat;
    must(law, ledger.reserved_msat == sum, || format!("{ledger:?}"))?;
    let held: u64 = buyer.jobs().map(|job| job.reserved_msat.get()).sum();
    must(law, ledger.held_msat == held, || format!("jobs hold {held}: {ledger:?}"))?;
    let recorded = desk.observed.spent_msat;
    must(law, ledger.spent_msat == recorded, || format!("{recorded} was recorded: {ledger:?}"))
}

/// The day's limit knows every msat that left for bought jobs, whatever became of them.
pub fn spent_today_counts_all_that_was_paid(desk: &Desk, event: &Recorded<Event>) -> Checked {
    let (_, counted) = desk.state.totals.today(event.at);
    let paid = desk.observed.spent_on_msat.get(&day_of(event.at)).copied().unwrap_or(0);
    must("spent_today_counts_all_that_was_paid", counted.get() == paid, || {
        format!("{} msat count of {paid} msat that were paid", counted.get())
    })
}

/// At rest the ledger is what the executor really spent, to the msat, and nothing is held.
pub fn ledger_equals_executor(at: usize, desk: &Desk, money: &Lightning) -> Checked {
    let mine = money.spent.iter().filter(|spent| spent.desk == at);
    let bought = mine.filter(|spent| spent.key.as_str().starts_with("buy/"));
    let spent: u64 = bought.map(|spent| spent.amount_msat + spent.fee_msat).sum();
    let ledger = desk.state.buyer.ledger();
    must("ledger_adds_up", (ledger.spent_msat, ledger.held_msat) == (spent, 0), || {
        format!("the executor spent {spent}: {ledger:?}")
    })
}

/// A receipt is signed by its issuer and proves its money.
pub fn receipts_prove(desk: &Desk, receipt: &Receipt) -> Checked {
    let law = "receipts_prove";
    vault::verify_receipt(receipt).map_err(|fault| broken(law, fault.to_string()))?;
    must(law, receipt.issuer == desk.identity.pubkey(), || "issued by another".to_owned())?;
    let asked = receipt.bolt11.as_deref().map(|bolt11| {
        nip90::bolt11::Invoice::parse(bolt11, domain::Network::Practice)
            .map(|invoice| (invoice.payment_hash, invoice.amount_msat))
    });
    match asked {
        None => must(law, receipt.amount_msat.is_none_or(|amount| amount.is_zero()), || {
            "money without an invoice".to_owned()
        }),
        Some(Ok((hash, amount))) => {
            let holds = receipt.payment_hash == Some(hash) && receipt.amount_msat == Some(amount);
            must(law, holds, || format!("{} is not what its invoice asks", receipt.id))
        }
        Some(Err(fault)) => Err(broken(law, fault.to_string())),
    }
}

/// A successful job has one receipt on each side that succeeded, and no other job has one.
pub fn one_receipt_each(desk: &Desk) -> Checked {
    let law = "receipts_prove";
    let sold = desk.state.provider.jobs().map(|job| {
        let settled = job.price_msat.is_zero() || job.payment == Payment::Paid;
        (StreamId::of("job", job.request_id), job.execution == Execution::Delivered && settled)
    });
    let bought = desk
        .state
        .buyer
        .jobs()
        .map(|job| (StreamId::of("buy", job.request_id), job.stage == Stage::Done));
    for (stream, succeeded) in sold.chain(bought) {
        let receipts = desk.observed.receipts.get(&stream).map_or(0, Vec::len);
        must(law, receipts == usize::from(succeeded), || {
            format!("{stream} has {receipts} receipts; succeeded: {succeeded}")
        })?;
    }
    Ok(())
}

/// What an adapter is asked to do stands in the log and waits in the outbox.
pub fn effects_only_after_commit(desk: &Desk, effect: &EffectId) -> Checked {
    let committed = desk.disk.heads.get(&effect.stream).is_some_and(|head| head.0 >= effect.seq);
    let waits = desk.disk.outbox.iter().any(|(id, _)| id == effect);
    must("effects_only_after_commit", committed && waits, || {
        format!("{effect} is done; event in the log: {committed}, in the outbox: {waits}")
    })
}

/// Whoever was paid has delivered or owes the money back in writing; whoever paid has the result
/// or knows in writing what it lost.
pub fn paid_job_has_result_or_explicit_failure(desks: &[Desk], money: &Lightning) -> Checked {
    let law = "paid_job_has_result_or_explicit_failure";
    for spent in &money.spent {
        let Some(id) = job_of(&spent.key, "buy") else { continue };
        let desk = &desks[spent.desk];
        let Some(job) = desk.state.buyer.job(&id) else {
            return Err(broken(law, format!("{id} was paid and is not known")));
        };
        must(law, job.spending == Spending::Paid, || format!("{id} was paid: {:?}", job.spending))?;
        let total = spent.amount_msat + spent.fee_msat;
        let explained = match job.stage {
            Stage::Done => job.result.is_some() && job.receipt == ReceiptState::Signed,
            _ => {
                job.stage.is_over()
                    && job.reason.is_some()
                    && desk.observed.in_vain.get(&id).is_some_and(|lost| lost.get() == total)
            }
        };
        must(law, explained, || format!("{id} paid {total} msat and is {:?}", job.stage))?;
    }
    for (at, key, _) in money.taken() {
        let Some(id) = job_of(key, "job") else { continue };
        let Some(job) = desks[at].state.provider.job(&id) else {
            return Err(broken(law, format!("{id} was paid for and is not known")));
        };
        let honoured = job.execution == Execution::Delivered && job.payment == Payment::Paid;
        let went_back = matches!(job.payment, Payment::Refunded | Payment::HandedBack);
        let given_back = went_back && job.execution != Execution::Delivered;
        must(law, honoured || given_back, || {
            format!("{id} was paid for: {:?}, {:?}", job.execution, job.payment)
        })?;
    }
    Ok(())
}

fn job_of(key: &IdempotencyKey, area: &str) -> Option<RequestId> {
    key.as_str().strip_prefix(area)?.strip_prefix('/')?.parse().ok()
}

/// Once faults have stopped and time has passed, every job is over and no effect is unfinished.
pub fn nothing_waits_for_ever(at: usize, desk: &Desk) -> Checked {
    let law = "nothing_waits_for_ever";
    if let Some((id, json)) = desk.disk.outbox.first() {
        return Err(broken(law, format!("desk {at}: {id} is unfinished: {json}")));
    }
    if let Some((id, letter)) = desk.state.letters.iter().next() {
        return Err(broken(law, format!("desk {at}: {id} was given up: {}", letter.why)));
    }
    for job in desk.state.provider.jobs() {
        must(law, job.is_over(), || {
            let (execution, payment) = (job.execution, job.payment);
            format!("desk {at} sells {}: {execution:?}, {payment:?}", job.request_id)
        })?;
    }
    for job in desk.state.buyer.jobs() {
        must(law, job.is_over(), || {
            let (stage, spending) = (job.stage, job.spending);
            format!("desk {at} buys {}: {stage:?}, {spending:?}", job.request_id)
        })?;
    }
    Ok(())
}

/// What a desk believes of its payments is what its executor knows of them.
pub fn mirror_equals_executor(at: usize, desk: &Desk, money: &Lightning) -> Checked {
    for payment in money.executors[at].payments.values() {
        let seen = desk.state.wallet.payment(&payment.key).map(|known| known.state);
        must("mirror_equals_executor", seen == Some(payment.state), || {
            format!("desk {at} believes {seen:?} of {}: {:?}", payment.key, payment.state)
        })?;
    }
    Ok(())
}

/// The same order under the same key is the same job.
pub fn same_key_same_job(known: RequestId, replied: RequestId) -> Checked {
    must("same_key_same_job", known == replied, || {
        format!("an order given again became {replied}, it was {known}")
    })
}
