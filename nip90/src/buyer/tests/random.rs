//! Random histories with duplicates, reorderings and restarts, against named invariants.

use super::*;
use crate::codec::tests::any_template;
use proptest::prelude::*;

const JOBS: usize = 4;

#[derive(Clone, Debug)]
enum Action {
    Submit(usize),
    Cancel(usize),
    Published(usize, bool),
    /// Job, author, price, invoice seed.
    Invoice(usize, u8, u64, u8),
    Result(usize, u8, u64, u8),
    Blob(usize, u8),
    Word(usize, u8, bool),
    Fetched(usize, bool),
    Checked(usize, bool),
    Settled(usize, bool),
    PayFailed(usize),
    PayUnknown(usize),
    Receipt(usize),
    Tick(u64),
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    let n = 0..JOBS;
    let who = prop_oneof![4 => Just(SELLER), 1 => Just(OTHER)];
    let price = prop_oneof![Just(0_u64), Just(700), Just(1_000), Just(1_001)];
    let seed = 20..26_u8;
    prop_oneof![
        4 => n.clone().prop_map(Action::Submit),
        1 => n.clone().prop_map(Action::Cancel),
        4 => (n.clone(), prop::bool::weighted(0.9)).prop_map(|(n, ok)| Action::Published(n, ok)),
        5 => (n.clone(), who.clone(), price.clone(), seed.clone()).prop_map(|(n, by, price, seed)| Action::Invoice(n, by, price, seed)),
        5 => (n.clone(), who.clone(), price, seed).prop_map(|(n, by, price, seed)| Action::Result(n, by, price, seed)),
        1 => (n.clone(), who.clone()).prop_map(|(n, by)| Action::Blob(n, by)),
        2 => (n.clone(), who, any::<bool>()).prop_map(|(n, by, bad)| Action::Word(n, by, bad)),
        2 => (n.clone(), prop::bool::weighted(0.8)).prop_map(|(n, ok)| Action::Fetched(n, ok)),
        5 => (n.clone(), prop::bool::weighted(0.8)).prop_map(|(n, ok)| Action::Checked(n, ok)),
        5 => (n.clone(), prop::bool::weighted(0.9)).prop_map(|(n, right)| Action::Settled(n, right)),
        1 => n.clone().prop_map(Action::PayFailed),
        1 => n.clone().prop_map(Action::PayUnknown),
        3 => n.prop_map(Action::Receipt),
        2 => prop_oneof![Just(1_u64), Just(61), Just(700)].prop_map(Action::Tick),
        1 => Just(Action::Restart),
    ]
}

struct Run {
    desk: Desk,
    ids: [Option<RequestId>; JOBS],
    /// How a payment ended, by job: a wallet says one thing only.
    ends: BTreeMap<usize, bool>,
}

impl Run {
    fn input(&mut self, action: &Action) -> Option<BuyerInput> {
        let now = self.desk.now;
        let pay_terms =
            |price: u64, seed: u8| (price > 0).then(|| (price, invoice(seed, price, now, 600).0));
        Some(match action {
            Action::Submit(n) => {
                let provider = (n % 2 == 0).then_some(SELLER);
                let salt = [u8::try_from(*n).unwrap() + 1; 32];
                let draft = draft(&format!("k{n}"), provider);
                BuyerInput::Submit { draft, salt, limits: limits(3_000) }
            }
            Action::Cancel(n) => BuyerInput::Cancel { request_id: self.ids[*n]? },
            Action::Published(n, true) => {
                BuyerInput::RequestPublished { request_id: self.ids[*n]?, relays: Vec::new() }
            }
            Action::Published(n, false) => {
                let (request_id, may_be_out) = (self.ids[*n]?, n % 2 == 0);
                BuyerInput::PublishFailed { request_id, reason: "no".into(), may_be_out }
            }
            Action::Invoice(n, by, price, seed) => {
                let pay = pay_terms(*price, *seed);
                let pay = pay.as_ref().map(|(price, bolt11)| (*price, bolt11.as_str()));
                answer(&feedback(self.ids[*n]?, Status::PaymentRequired, pay), *by)
            }
            Action::Result(n, by, price, seed) => {
                let pay = pay_terms(*price, *seed);
                let pay = pay.as_ref().map(|(price, bolt11)| (*price, bolt11.as_str()));
                answer(&result(self.ids[*n]?, pay), *by)
            }
            Action::Blob(n, by) => {
                let payload = Payload::Blob(blob());
                let terms =
                    ResultTerms { payload, sha256: None, ..result_terms(self.ids[*n]?, None) };
                answer(&terms.template(1).unwrap(), *by)
            }
            Action::Word(n, by, bad) => {
                let status = if *bad { Status::Error } else { Status::Processing };
                answer(&feedback(self.ids[*n]?, status, None), *by)
            }
            Action::Fetched(n, ok) => BuyerInput::BlobFetched {
                request_id: self.ids[*n]?,
                sha256: blob().sha256,
                size_bytes: if *ok { blob().size_bytes } else { 1 },
            },
            Action::Checked(n, true) => {
                let request_id = self.ids[*n]?;
                BuyerInput::ResultVerified { request_id, sha256: self.desk.checked(request_id) }
            }
            Action::Checked(n, false) => {
                let (request_id, reason) = (self.ids[*n]?, "no".into());
                let sha256 = self.desk.checked(request_id);
                BuyerInput::ResultRejected { request_id, sha256, reason }
            }
            _ => return self.money(action),
        })
    }

    fn money(&mut self, action: &Action) -> Option<BuyerInput> {
        let asked = |run: &Self, n: usize| {
            let id = run.ids[n]?;
            run.desk.pays().into_iter().find(|pay| pay.request_id == id).cloned()
        };
        Some(match action {
            Action::Settled(n, right) => {
                let pay = asked(self, *n)?;
                let seed = (20..26).find(|seed| {
                    domain::Preimage([*seed; 32]).payment_hash() == pay.payment_hash
                })?;
                // It may settle also after it was said to have failed.
                if *right {
                    self.ends.insert(*n, true);
                }
                BuyerInput::PaySettled(Settled {
                    request_id: pay.request_id,
                    payment_hash: pay.payment_hash,
                    preimage: domain::Preimage([if *right { seed } else { 1 }; 32]),
                    amount_msat: pay.amount_msat,
                    fee_msat: msat(u64::from(seed)),
                })
            }
            Action::PayFailed(n) => {
                let pay = asked(self, *n)?;
                if *self.ends.entry(*n).or_insert(false) {
                    return None;
                }
                let (request_id, payment_hash) = (pay.request_id, pay.payment_hash);
                BuyerInput::PayFailed { request_id, payment_hash, reason: "no route".into() }
            }
            Action::PayUnknown(n) => {
                let pay = asked(self, *n)?;
                let (request_id, payment_hash) = (pay.request_id, pay.payment_hash);
                BuyerInput::PayUnknown { request_id, payment_hash }
            }
            Action::Receipt(n) => {
                let id = self.ids[*n]?;
                let mut receipt = self.desk.effects.iter().find_map(|effect| match effect {
                    BuyerEffect::SignReceipt { request_id, receipt } if *request_id == id => {
                        Some(receipt.clone())
                    }
                    _ => None,
                })?;
                receipt.sig = Some("00".repeat(64));
                BuyerInput::ReceiptSigned { request_id: id, receipt }
            }
            Action::Tick(secs) => {
                self.desk.now = self.desk.now.plus_secs(*secs);
                BuyerInput::Tick
            }
            Action::Restart => {
                let snapshot = serde_json::to_string(&self.desk.buyer).unwrap();
                self.desk.buyer = serde_json::from_str(&snapshot).unwrap();
                return None;
            }
            _ => return None,
        })
    }

    fn step(&mut self, action: &Action) -> Result<(), TestCaseError> {
        let Some(input) = self.input(action) else { return Ok(()) };
        let over: Vec<RequestId> = self
            .ids
            .iter()
            .flatten()
            .filter(|id| self.desk.buyer.job(id).is_some_and(|job| job.stage.is_over()))
            .copied()
            .collect();
        let released = self.desk.effects.len();
        let decision = self.desk.feed(input);
        if let (Action::Submit(n), Some(Reply::Submitted { request_id })) = (action, decision.reply)
        {
            prop_assert!(self.ids[*n].is_none_or(|id| id == request_id), "one key, one job");
            self.ids[*n] = Some(request_id);
        }
        for effect in &self.desk.effects[released..] {
            let id = match effect {
                BuyerEffect::PublishRequest(publish) => publish.request_id,
                BuyerEffect::Pay(pay) => pay.request_id,
                BuyerEffect::PublishCancel { request_id, .. }
                | BuyerEffect::HearAgain { request_id }
                | BuyerEffect::FetchBlob { request_id, .. }
                | BuyerEffect::CheckResult { request_id, .. }
                | BuyerEffect::SignReceipt { request_id, .. } => *request_id,
            };
            prop_assert!(!over.contains(&id), "no effect from an ended job: {effect:?}");
        }
        self.invariants()
    }

    fn invariants(&self) -> Result<(), TestCaseError> {
        let desk = &self.desk;
        desk.books();
        let mut hashes = std::collections::BTreeSet::new();
        for pay in desk.pays() {
            prop_assert!(hashes.insert(pay.payment_hash), "an invoice is paid once, for one job");
            prop_assert!(pay.amount_msat <= msat(1_000), "never above the bid");
        }
        for (n, id) in self.ids.iter().enumerate().filter_map(|(n, id)| Some((n, id.as_ref()?))) {
            let pays = desk.pays().iter().filter(|pay| pay.request_id == *id).count();
            prop_assert!(pays <= 1, "never paid twice");
            let stream = StreamId::of("buy", id);
            let events: Vec<_> = desk.log.iter().filter(|event| event.stream == stream).collect();
            let count = |test: fn(&BuyerEvent) -> bool| {
                events.iter().filter(|event| test(&event.data)).count()
            };
            let ends = count(|e| {
                matches!(e, BuyerEvent::Done(_) | BuyerEvent::Failed(_) | BuyerEvent::Cancelled(_))
            });
            prop_assert!(ends <= 1, "one end");
            prop_assert!(count(|e| matches!(e, BuyerEvent::Paid(_))) <= 1);
            let again = count(|e| matches!(e, BuyerEvent::Unchosen(_)));
            prop_assert!(again <= desk.config.max_results_tried);
            prop_assert!(again == 0 || n % 2 == 1, "of a named provider there is one result");
            prop_assert!(count(|e| matches!(e, BuyerEvent::ResultSeen(_))) <= 1 + again);
            prop_assert!(count(|e| matches!(e, BuyerEvent::Chosen(_))) <= 1 + again);
            let last =
                |test: fn(&BuyerEvent) -> bool| events.iter().rposition(|event| test(&event.data));
            let unchosen = last(|e| matches!(e, BuyerEvent::Unchosen(_)));
            let paying = last(|e| matches!(e, BuyerEvent::Paying(_)));
            prop_assert!(paying.is_none_or(|at| unchosen < Some(at)), "who is paid stays chosen");
            prop_assert!(count(|e| matches!(e, BuyerEvent::LateResult(_))) <= 1);
            let Some(job) = desk.buyer.job(id) else { continue };
            prop_assert_eq!(ends == 1, job.stage.is_over());
            prop_assert!(
                !(job.stage.is_over() && job.spending.in_flight()),
                "money has an end first"
            );
            prop_assert_eq!(job.waiting_for().is_none(), job.is_over());
            prop_assert_eq!(desk.buyer.open.contains(id), !job.stage.is_over());
            let told = self.ends.contains_key(&n);
            prop_assert!(pays == 0 || ends == 0 || told, "the wallet speaks before the end");
            if self.ends.get(&n) == Some(&true) {
                let paid = count(|e| matches!(e, BuyerEvent::Paid(_)));
                prop_assert_eq!(paid, 1, "money that moved is counted");
                prop_assert_eq!(job.spending, Spending::Paid);
            }
            if pays == 1 {
                prop_assert!(job.provider.is_some(), "pays the chosen one only");
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_a_stranger_signs_moves_no_money_without_an_invoice(
        templates in proptest::collection::vec(any_template(), 1..8), by in 1..4_u8,
    ) {
        let mut desk = Desk::new();
        let id = desk.asked(&draft("a", Some(SELLER)), 1);
        for mut template in templates {
            template.tags.insert(0, vec!["e".to_owned(), id.to_string()]);
            template.tags.insert(0, vec!["p".to_owned(), pubkey(US).to_string()]);
            let json = sign(&template, by).as_json();
            if let Ok(seen) = SeenAnswer::check(json.as_bytes(), [0; 32]) {
                desk.feed(BuyerInput::AnswerSeen(Box::new(seen)));
            }
        }
        prop_assert_eq!(desk.pays().len(), 0);
        desk.books();
        prop_assert_eq!(desk.replayed(), desk.buyer);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_histories_keep_the_invariants(actions in proptest::collection::vec(action(), 1..90)) {
        let mut run = Run { desk: Desk::new(), ids: [None; JOBS], ends: BTreeMap::new() };
        for action in &actions {
            run.step(action)?;
        }
        // Once the wallet has spoken, time alone ends every purchase and frees every reservation.
        for n in 0..JOBS {
            run.step(&Action::PayFailed(n))?;
            run.step(&Action::Settled(n, true))?;
        }
        for _ in 0..6 {
            run.step(&Action::Tick(2_000))?;
        }
        prop_assert_eq!(run.desk.buyer.open_jobs(), 0);
        prop_assert_eq!(run.desk.books().held_msat, 0);
        let replayed = run.desk.replayed();
        prop_assert_eq!(&replayed, &run.desk.buyer, "replay gives the same state");
    }
}
