//! Random histories with duplicates, reorderings and restarts, against named invariants.

use super::*;
use crate::{
    codec::{Deletion, deletion, tests::any_template},
    provider::execution::Execution,
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

const JOBS: usize = 5;

static REQUESTS: LazyLock<Vec<SeenRequest>> = LazyLock::new(|| {
    (0..JOBS)
        .map(|n| {
            let providers = if n == 0 { Vec::new() } else { vec![pubkey(US)] };
            let bid_msat = (n != 1).then(|| msat(if n == 2 { 400 } else { 10_000 }));
            request(&RequestTerms { providers, bid_msat, unique: Some(n.to_string()), ..terms() })
        })
        .collect()
});

#[derive(Clone, Debug)]
enum Action {
    Seen(usize),
    Delete(usize, bool),
    InvoiceMade(usize),
    InvoiceFailed(usize),
    InvoiceExpired(usize),
    Paid(usize, bool),
    Executed(usize, u8, u8),
    Published(usize, u8, bool),
    Receipt(usize),
    Accept(usize),
    Refuse(usize),
    Cancel(usize),
    Refund(usize, u8),
    RefundEnds(usize, u8),
    HandBack(usize),
    Switch(bool),
    Relays(u32),
    Offer(u8),
    Tick(u64),
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    let n = 0..JOBS;
    prop_oneof![
        6 => n.clone().prop_map(Action::Seen),
        1 => (n.clone(), any::<bool>()).prop_map(|(n, own)| Action::Delete(n, own)),
        5 => n.clone().prop_map(Action::InvoiceMade),
        1 => n.clone().prop_map(Action::InvoiceFailed),
        1 => n.clone().prop_map(Action::InvoiceExpired),
        5 => (n.clone(), prop::bool::weighted(0.1)).prop_map(|(n, less)| Action::Paid(n, less)),
        6 => (n.clone(), 1..3_u8, 0..5_u8).prop_map(|(n, attempt, how)| Action::Executed(n, attempt, how)),
        5 => (n.clone(), 0..3_u8, prop::bool::weighted(0.8)).prop_map(|(n, slot, ok)| Action::Published(n, slot, ok)),
        4 => n.clone().prop_map(Action::Receipt),
        2 => n.clone().prop_map(Action::Accept),
        1 => n.clone().prop_map(Action::Refuse),
        1 => n.clone().prop_map(Action::Cancel),
        2 => (n.clone(), 0..4_u8).prop_map(|(n, how)| Action::Refund(n, how)),
        2 => (n.clone(), 0..5_u8).prop_map(|(n, how)| Action::RefundEnds(n, how)),
        1 => n.prop_map(Action::HandBack),
        1 => prop::bool::weighted(0.8).prop_map(Action::Switch),
        1 => (0..3_u32).prop_map(Action::Relays),
        1 => (0..3_u8).prop_map(Action::Offer),
        3 => prop_oneof![Just(1_u64), Just(61), Just(700)].prop_map(Action::Tick),
        1 => Just(Action::Restart),
    ]
}

fn offer(price: u8) -> ProviderInput {
    let (price, payment) = match price {
        0 => (0, PaymentPolicy::After),
        1 => (500, PaymentPolicy::Before),
        _ => (500, PaymentPolicy::After),
    };
    ProviderInput::OfferSet(OfferDraft { kind: KIND, price_msat: msat(price), payment })
}

fn id(n: usize) -> RequestId {
    REQUESTS[n].id()
}

struct Run {
    desk: Desk,
    /// Invoices that were made, by job.
    invoices: BTreeMap<usize, (String, PaidFact)>,
    /// Money that settled: sent to the machine at least once, by the exact invoice.
    settled: BTreeMap<usize, Msat>,
    /// Refunds that settled, by job and payment hash.
    settled_refunds: BTreeSet<(RequestId, domain::PaymentHash)>,
}

impl Run {
    fn input(&mut self, action: &Action) -> Vec<ProviderInput> {
        vec![match action {
            Action::InvoiceMade(_)
            | Action::Paid(..)
            | Action::Receipt(_)
            | Action::RefundEnds(..) => {
                return self.money(action).into_iter().collect();
            }
            Action::Seen(n) => ProviderInput::RequestSeen(Box::new(REQUESTS[*n].clone())),
            Action::Delete(n, own) => {
                let by = if *own { BUYER } else { OTHER };
                let event = sign(&deletion::of_request(id(*n), KIND, START.as_secs()), by);
                ProviderInput::DeletionSeen(Deletion::parse(&event).unwrap())
            }
            Action::InvoiceFailed(n) => {
                ProviderInput::InvoiceFailed { request_id: id(*n), reason: "wallet".into() }
            }
            Action::InvoiceExpired(n) => ProviderInput::InvoiceExpired { request_id: id(*n) },
            Action::Executed(n, attempt, how) => ProviderInput::Executed {
                request_id: id(*n),
                attempt: *attempt,
                outcome: match how {
                    0 => ExecutionOutcome::Failed { reason: "exit 1".into() },
                    1 => ExecutionOutcome::Unknown,
                    _ => done("{}"),
                },
            },
            Action::Published(n, slot, ok) => {
                let slot =
                    [Slot::Answer, Slot::PaymentRequired, Slot::Processing][usize::from(*slot)];
                if *ok {
                    let accepted = vec!["r".to_owned()];
                    let event_id = EventId([3; 32]);
                    ProviderInput::Published { request_id: id(*n), slot, event_id, accepted }
                } else {
                    let reason = "rejected".to_owned();
                    let (request_id, may_be_out) = (id(*n), true);
                    ProviderInput::PublishFailed { request_id, slot, reason, may_be_out }
                }
            }
            Action::Accept(n) => ProviderInput::JobAccept { request_id: id(*n) },
            Action::Refuse(n) => ProviderInput::JobRefuse { request_id: id(*n) },
            Action::Cancel(n) => ProviderInput::JobCancel { request_id: id(*n) },
            // All of it, less by choice, more than is owed, or less by mistake.
            Action::Refund(n, how) => {
                let asks = [500, 300, 501, 499][usize::from(*how)];
                let seed = u8::try_from(*n).unwrap() * 4 + how + 100;
                ProviderInput::Refund(RefundOrder {
                    request_id: id(*n),
                    bolt11: invoice(seed, asks, self.desk.now, 600).0,
                    amount_msat: (*how == 1).then(|| msat(300)),
                    max_fee_msat: msat(10),
                })
            }
            Action::HandBack(n) => {
                ProviderInput::HandBack { request_id: id(*n), note: "in cash".into() }
            }
            Action::Switch(true) => ProviderInput::GoOnline,
            Action::Switch(false) => ProviderInput::GoOffline,
            Action::Relays(connected) => ProviderInput::Relays { connected: *connected },
            Action::Offer(price) => offer(*price),
            Action::Tick(secs) => {
                self.desk.now = self.desk.now.plus_secs(*secs);
                ProviderInput::Tick
            }
            Action::Restart => {
                let snapshot = serde_json::to_string(&self.desk.provider).unwrap();
                self.desk.provider = serde_json::from_str(&snapshot).unwrap();
                return vec![
                    ProviderInput::Started,
                    ProviderInput::Relays { connected: 1 },
                    ProviderInput::GoOnline,
                ];
            }
        }]
    }

    /// What depends on an effect that was released: an invoice, its payment, a receipt.
    fn money(&mut self, action: &Action) -> Option<ProviderInput> {
        Some(match action {
            Action::InvoiceMade(n) => {
                let asked = self.desk.effects.iter().find_map(|effect| match effect {
                    ProviderEffect::MakeInvoice(asked) if asked.request_id == id(*n) => Some(asked),
                    _ => None,
                });
                let asked = asked?;
                let seed = u8::try_from(*n).unwrap() + 10;
                let at = self.desk.now;
                let (bolt11, _) = self.invoices.entry(*n).or_insert_with(|| {
                    let amount_msat = asked.amount_msat;
                    let (bolt11, preimage) =
                        invoice(seed, amount_msat.get(), at, asked.expiry_secs.into());
                    let payment_hash = preimage.payment_hash();
                    (bolt11, PaidFact { payment_hash, amount_msat, preimage, at })
                });
                ProviderInput::InvoiceMade { request_id: id(*n), bolt11: bolt11.clone() }
            }
            Action::Paid(n, less) => {
                let (_, paid) = self.invoices.get(n)?;
                // A wallet settles an invoice that someone can have seen, once, at one amount.
                if self.desk.provider.job(&id(*n)).is_none_or(|job| job.bolt11.is_none()) {
                    return None;
                }
                let amount = if *less { msat(499) } else { paid.amount_msat };
                let amount_msat = *self.settled.entry(*n).or_insert(amount);
                ProviderInput::Paid(PaidFact { amount_msat, ..*paid })
            }
            Action::RefundEnds(n, how) => {
                let mut asked = self.desk.effects.iter().filter_map(|effect| match effect {
                    ProviderEffect::PayRefund(pay) if pay.request_id == id(*n) => Some(pay),
                    _ => None,
                });
                // An earlier attempt, too, may settle after it was said to have failed.
                let asked = if *how == 4 { asked.next()? } else { asked.next_back()? };
                let (request_id, attempt) = refund_of_key(&asked.key).unwrap();
                let preimage = (0..=u8::MAX)
                    .map(|seed| domain::Preimage([seed; 32]))
                    .find(|preimage| preimage.payment_hash() == asked.payment_hash)?;
                match how {
                    0 => ProviderInput::RefundUnknown { request_id, attempt },
                    1 => ProviderInput::RefundFailed { request_id, attempt, reason: "no".into() },
                    _ => {
                        self.settled_refunds.insert((request_id, asked.payment_hash));
                        ProviderInput::RefundSettled(RefundFact {
                            request_id,
                            attempt,
                            payment_hash: asked.payment_hash,
                            preimage,
                            amount_msat: asked.amount_msat,
                            fee_msat: msat(1),
                        })
                    }
                }
            }
            Action::Receipt(n) => {
                let due = self.desk.effects.iter().find_map(|effect| match effect {
                    ProviderEffect::SignReceipt { request_id, receipt }
                        if *request_id == id(*n) =>
                    {
                        Some(receipt.clone())
                    }
                    _ => None,
                });
                let mut receipt = due?;
                receipt.sig = Some("00".repeat(64));
                ProviderInput::ReceiptSigned { request_id: id(*n), receipt }
            }
            _ => return None,
        })
    }

    fn step(&mut self, input: ProviderInput) -> Result<(), TestCaseError> {
        let over: Vec<RequestId> = REQUESTS
            .iter()
            .map(SeenRequest::id)
            .filter(|id| self.desk.provider.job(id).is_some_and(|job| job.execution.is_over()))
            .collect();
        let released = self.desk.effects.len();
        self.desk.feed(input);
        for effect in &self.desk.effects[released..] {
            let of_job = match effect {
                ProviderEffect::Publish(publish) => Some(publish.request_id),
                ProviderEffect::MakeInvoice(asked) => Some(asked.request_id),
                ProviderEffect::Execute(execute) => Some(execute.request_id),
                ProviderEffect::StopExecution { request_id, .. } => Some(*request_id),
                _ => None,
            };
            prop_assert!(
                of_job.is_none_or(|id| !over.contains(&id)),
                "no effect from an ended job"
            );
        }
        self.invariants()
    }

    fn invariants(&self) -> Result<(), TestCaseError> {
        let provider = &self.desk.provider;
        prop_assert!(provider.running.len() <= self.desk.config.max_running);
        for seen in REQUESTS.iter() {
            let id = seen.id();
            let stream = StreamId::of("job", id);
            let events: Vec<_> =
                self.desk.log.iter().filter(|event| event.stream == stream).collect();
            let count = |test: fn(&ProviderEvent) -> bool| {
                events.iter().filter(|event| test(&event.data)).count()
            };
            prop_assert!(count(|e| matches!(e, ProviderEvent::Received(_))) <= 1, "one job");
            prop_assert!(count(|e| matches!(e, ProviderEvent::Invoiced(_))) <= 1, "one invoice");
            prop_assert!(count(|e| matches!(e, ProviderEvent::Started(_))) <= 2, "two attempts");
            prop_assert!(count(|e| matches!(e, ProviderEvent::ReceiptSigned(_))) <= 1);
            let credited =
                count(|e| matches!(e, ProviderEvent::Paid(_) | ProviderEvent::RefundDue(_)));
            prop_assert!(credited <= 1, "money is credited once");
            let refunded: Vec<_> = events
                .iter()
                .filter_map(|event| match &event.data {
                    ProviderEvent::Refunded(refunded) => Some(refunded),
                    _ => None,
                })
                .collect();
            let hashes: BTreeSet<_> = refunded.iter().map(|refund| refund.payment_hash).collect();
            prop_assert_eq!(hashes.len(), refunded.len(), "a refund settles once");
            let settled = self.settled_refunds.iter().filter(|(of, _)| *of == id).count();
            prop_assert_eq!(refunded.len(), settled, "money that went back is shown");
            let given_back = events.iter().position(|event| {
                matches!(event.data, ProviderEvent::Refunded(_) | ProviderEvent::HandedBack(_))
            });
            let sent = events.iter().rposition(|event| {
                matches!(event.data, ProviderEvent::Refunding(_) | ProviderEvent::HandedBack(_))
            });
            prop_assert!(given_back.is_none_or(|at| sent <= Some(at)), "given back once");
            prop_assert!(
                refunded.iter().all(|given| given.amount_msat <= msat(500))
                    && (refunded.is_empty() || credited == 1),
                "never more than what was paid"
            );
            let ends = count(|e| {
                matches!(
                    e,
                    ProviderEvent::Refused(_)
                        | ProviderEvent::Delivered(_)
                        | ProviderEvent::Failed(_)
                        | ProviderEvent::Cancelled(_)
                )
            });
            prop_assert!(ends <= 1, "one end");
            let answers = published(&self.desk.effects)
                .into_iter()
                .filter(|publish| publish.request_id == id && publish.slot == Slot::Answer)
                .count();
            prop_assert!(answers <= 1, "one terminal event");
            let Some(job) = provider.job(&id) else { continue };
            prop_assert_eq!(job.answered, answers == 1);
            if job.execution.is_over() {
                prop_assert_eq!(answers, 1, "every end is told: {:?}", job);
            }
            prop_assert_eq!(job.waiting_for().is_none(), job.is_over());
            let started = events.iter().position(|e| matches!(e.data, ProviderEvent::Started(_)));
            let paid = events.iter().position(|e| matches!(e.data, ProviderEvent::Paid(_)));
            if job.pays_first()
                && let Some(started) = started
            {
                prop_assert!(paid.is_some_and(|paid| paid < started), "no work before payment");
            }
            prop_assert_eq!(provider.running.contains(&id), job.execution == Execution::Running);
            prop_assert_eq!(provider.open.contains(&id), !job.execution.is_over());
            prop_assert_eq!(provider.active.contains(&id), !job.is_over());
            prop_assert_eq!(provider.queue.contains(&id), job.is_ready());
        }
        Ok(())
    }

    /// With nothing more from outside, time alone ends every job; settled money is accounted for.
    fn settles(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..8 {
            self.desk.now = self.desk.now.plus_secs(2_000);
            self.step(ProviderInput::Tick)?;
        }
        prop_assert_eq!(self.desk.provider.open_jobs(), 0);
        for n in self.settled.keys() {
            let job = self.desk.provider.job(&REQUESTS[*n].id()).unwrap();
            prop_assert!(job.paid_msat.is_some(), "settled money is never swallowed: {:?}", job);
        }
        let replayed = self.desk.replayed();
        prop_assert_eq!(&replayed, &self.desk.provider, "replay gives the same state");
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_a_stranger_signs_gets_at_most_one_answer(
        templates in proptest::collection::vec(any_template(), 1..8), aimed in any::<bool>(),
    ) {
        let mut desk = Desk::online(500, PaymentPolicy::Before);
        let risk = DemandRisk::Open;
        desk.feed(ProviderInput::DemandPolicySet { risk, answer: DemandAnswer::Accept });
        for mut template in templates {
            template.created_at_secs = START.as_secs();
            if aimed {
                template.tags.push(vec!["p".to_owned(), pubkey(US).to_string()]);
            }
            desk.effects.clear();
            desk.seen(&signed(&template, BUYER));
            prop_assert!(published(&desk.effects).len() <= 1);
        }
        prop_assert_eq!(desk.replayed(), desk.provider);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_histories_keep_the_invariants(actions in proptest::collection::vec(action(), 1..90), price in 0..3_u8, places in 1..3_usize) {
        let mut desk = Desk::bare();
        desk.config.max_running = places;
        let mut run = Run {
            desk,
            invoices: BTreeMap::new(),
            settled: BTreeMap::new(),
            settled_refunds: BTreeSet::new(),
        };
        for input in [offer(price), ProviderInput::Relays { connected: 1 }, ProviderInput::GoOnline] {
            run.step(input)?;
        }
        for action in &actions {
            for input in run.input(action) {
                run.step(input)?;
            }
        }
        run.settles()?;
    }
}
