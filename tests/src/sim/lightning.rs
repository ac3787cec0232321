//! The modelled executors, one per desk, and the Lightning network between them: what is true.

use bitcoin::hashes::{Hash, sha256};
use domain::{ErrorBody, IdempotencyKey, Msat, Network, PaymentHash, Preimage, Timestamp};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use nip90::bolt11::Invoice;
use std::{collections::BTreeMap, time::Duration};
use wallet::wire::{Balance, Direction, Notice, NoticeKind, Pay, Payment, PaymentState, Receive};

use super::{action::Money, mutant::Mutant};

/// What each desk has in its channels at first.
const OPENING_MSAT: u64 = 200_000;
/// How long after its expiry money that was already on its way is still taken.
const LATE_SECS: u64 = 120;
const EXPIRED_AFTER_SECS: u64 = 30;

/// One executor: payments by key, and notices from 1 on.
#[derive(Default)]
pub struct Executor {
    pub payments: BTreeMap<IdempotencyKey, Payment>,
    pub notices: Vec<Notice>,
    pub spendable_msat: u64,
}

/// An outgoing payment that the network has not finished.
#[derive(Clone, Debug)]
struct Flight {
    desk: usize,
    key: IdempotencyKey,
    max_fee_msat: Msat,
    claimed: bool,
}

/// Money that left a desk for good.
#[derive(Clone, Debug)]
pub struct Spent {
    pub desk: usize,
    pub key: IdempotencyKey,
    pub payment_hash: PaymentHash,
    pub amount_msat: u64,
    pub fee_msat: u64,
}

/// Who can claim an invoice. Strangers keep no executor.
#[derive(Clone)]
struct Claim {
    preimage: Preimage,
    payee: Option<(usize, IdempotencyKey)>,
    taken: bool,
}

pub struct Lightning {
    pub executors: Vec<Executor>,
    pub spent: Vec<Spent>,
    flights: Vec<Flight>,
    claims: BTreeMap<PaymentHash, Claim>,
    mutant: Option<Mutant>,
}

impl Lightning {
    pub fn new(desks: usize, mutant: Option<Mutant>) -> Self {
        let executor = || Executor { spendable_msat: OPENING_MSAT, ..Executor::default() };
        Self {
            executors: (0..desks).map(|_| executor()).collect(),
            spent: Vec::new(),
            flights: Vec::new(),
            claims: BTreeMap::new(),
            mutant,
        }
    }

    pub fn balance(&self, desk: usize, now: Timestamp) -> Balance {
        let spendable = Msat::new(self.executors[desk].spendable_msat).unwrap_or_default();
        Balance {
            spendable_msat: spendable,
            pending_in_msat: Msat::ZERO,
            pending_out_msat: Msat::ZERO,
            inbound_msat: Msat::from_sat(10_000),
            onchain_msat: Msat::ZERO,
            as_of: now,
        }
    }

    /// An invoice of a stranger: whoever pays it has paid.
    pub fn foreign_invoice(&mut self, seed: &str, amount_msat: u64, now: Timestamp) -> String {
        let (bolt11, preimage) = invoice(seed, amount_msat, now, 600);
        let claim = Claim { preimage, payee: None, taken: false };
        self.claims.entry(preimage.payment_hash()).or_insert(claim);
        bolt11
    }

    /// The same key gives the same invoice.
    pub fn receive(
        &mut self,
        desk: usize,
        asked: &Receive,
        now: Timestamp,
    ) -> Result<Payment, ErrorBody> {
        if let Some(known) = self.executors[desk].payments.get(&asked.key) {
            if Some(known.amount_msat) == asked.amount_msat && known.memo == asked.memo {
                // An invoice says nothing of what became of it.
                let (state, preimage, fee_msat) = (PaymentState::Pending, None, None);
                return Ok(Payment { state, preimage, fee_msat, detail: None, ..known.clone() });
            }
            return Err(ErrorBody::refused("key_reused", "The key has other terms."));
        }
        let amount_msat = asked.amount_msat.unwrap_or_default();
        let seed = format!("{desk}/{}", asked.key);
        let (bolt11, preimage) = invoice(&seed, amount_msat.get(), now, asked.expiry_secs.into());
        let payment_hash = preimage.payment_hash();
        let payment = Payment {
            state: PaymentState::Pending,
            payment_hash: Some(payment_hash),
            request: Some(bolt11),
            memo: asked.memo.clone(),
            expires_at: Some(now.plus_secs(asked.expiry_secs.into())),
            ..Payment::requested(asked.key.clone(), Direction::In, amount_msat, now)
        };
        let payee = Some((desk, asked.key.clone()));
        self.claims.insert(payment_hash, Claim { preimage, payee, taken: false });
        self.keep(desk, payment.clone(), now);
        Ok(payment)
    }

    /// The same key is the same payment, whatever became of it.
    pub fn pay(&mut self, desk: usize, asked: &Pay, now: Timestamp) -> Result<Payment, ErrorBody> {
        let forgets = self.mutant == Some(Mutant::ExecutorForgetsKeys);
        if let Some(known) = self.executors[desk].payments.get(&asked.key)
            && !forgets
        {
            if known.request.as_deref() == Some(&*asked.request) {
                return Ok(known.clone());
            }
            return Err(ErrorBody::refused("key_reused", "The key has other terms."));
        }
        let refuse = |code, text: &str| Err(ErrorBody::refused(code, text));
        let Ok(invoice) = Invoice::parse(&asked.request, Network::Practice) else {
            return refuse("bad_invoice", "The invoice does not read. Nothing was sent.");
        };
        if invoice.check(asked.amount_msat, now).is_err() {
            return refuse("invoice_expired", "The invoice has expired. Nothing was sent.");
        }
        let hash = Some(invoice.payment_hash);
        let executor = &self.executors[desk];
        let known = executor.payments.values().any(|p| p.payment_hash == hash);
        if known && !forgets {
            return refuse("already_paid", "The invoice is known. Nothing was sent.");
        }
        let needed = asked.amount_msat.saturating_add(asked.max_fee_msat);
        if needed.get() > executor.spendable_msat {
            return refuse("not_enough", "Too little is there. Nothing was sent.");
        }
        let payment = Payment {
            state: PaymentState::Pending,
            payment_hash: hash,
            request: Some(asked.request.clone()),
            expires_at: Some(invoice.expires_at),
            ..Payment::requested(asked.key.clone(), Direction::Out, asked.amount_msat, now)
        };
        let (key, max_fee_msat) = (asked.key.clone(), asked.max_fee_msat);
        self.flights.push(Flight { desk, key, max_fee_msat, claimed: false });
        self.keep(desk, payment.clone(), now);
        Ok(payment)
    }

    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Moves one payment that is under way.
    pub fn move_money(&mut self, nth: usize, how: Money, now: Timestamp) {
        if self.flights.is_empty() {
            return;
        }
        let at = nth % self.flights.len();
        let flight = self.flights[at].clone();
        let Some(payment) = self.executors[flight.desk].payments.get(&flight.key).cloned() else {
            return;
        };
        let (Some(hash), amount) = (payment.payment_hash, payment.amount_msat) else { return };
        let claimed = flight.claimed;
        match how {
            Money::Lose if payment.state == PaymentState::Pending => {
                let state = PaymentState::Unknown;
                self.keep(flight.desk, Payment { state, updated_at: now, ..payment }, now);
            }
            Money::Claim if !claimed => self.flights[at].claimed = self.claim(hash, amount, now),
            Money::Settle { fee_msat } if claimed || self.claim(hash, amount, now) => {
                self.flights.remove(at);
                let fee = u64::from(fee_msat).min(flight.max_fee_msat.get());
                self.settle(&flight, payment, hash, fee, now);
            }
            Money::Settle { .. } | Money::Fail if !claimed => {
                self.flights.remove(at);
                let detail = Some("no route".to_owned());
                let state = PaymentState::Failed;
                self.keep(flight.desk, Payment { state, detail, updated_at: now, ..payment }, now);
            }
            _ => {}
        }
    }

    fn settle(
        &mut self,
        flight: &Flight,
        payment: Payment,
        payment_hash: PaymentHash,
        fee_msat: u64,
        now: Timestamp,
    ) {
        let Flight { desk, key, .. } = flight.clone();
        let amount_msat = payment.amount_msat.get();
        let executor = &mut self.executors[desk];
        executor.spendable_msat = executor.spendable_msat.saturating_sub(amount_msat + fee_msat);
        self.spent.push(Spent { desk, key, payment_hash, amount_msat, fee_msat });
        let told = if self.mutant == Some(Mutant::FeeHidden) { 0 } else { fee_msat };
        let settled = Payment {
            state: PaymentState::Settled,
            fee_msat: Msat::new(told).ok(),
            preimage: self.claims.get(&payment_hash).map(|claim| claim.preimage),
            updated_at: now,
            ..payment
        };
        self.keep(desk, settled, now);
    }

    /// The payee takes the money, if its invoice still wants it.
    fn claim(&mut self, hash: PaymentHash, amount_msat: Msat, now: Timestamp) -> bool {
        let again = self.mutant == Some(Mutant::ExecutorForgetsKeys);
        let Some(claim) = self.claims.get_mut(&hash).filter(|claim| !claim.taken || again) else {
            return false;
        };
        let Some((desk, key)) = claim.payee.clone() else {
            claim.taken = true;
            return true;
        };
        let preimage = claim.preimage;
        let executor = &mut self.executors[desk];
        let Some(payment) = executor.payments.get(&key).cloned() else { return false };
        let late = payment.expires_at.is_some_and(|at| now > at.plus_secs(LATE_SECS));
        if late {
            return false;
        }
        claim.taken = true;
        executor.spendable_msat += amount_msat.get();
        let state = PaymentState::Settled;
        let preimage = Some(preimage);
        self.keep(desk, Payment { state, preimage, updated_at: now, ..payment }, now);
        true
    }

    /// A wallet that claims to have been paid where nothing came.
    pub fn lie(&mut self, desk: usize, key: &IdempotencyKey, now: Timestamp) {
        let Some(payment) = self.executors[desk].payments.get(key).cloned() else { return };
        let preimage = payment.payment_hash.and_then(|h| self.claims.get(&h)).map(|c| c.preimage);
        let state = PaymentState::Settled;
        self.keep(desk, Payment { state, preimage, updated_at: now, ..payment }, now);
    }

    /// Whether the network has moved money under this hash to this desk's payment.
    pub fn was_taken(&self, desk: usize, key: &IdempotencyKey, hash: &PaymentHash) -> bool {
        self.claims
            .get(hash)
            .is_some_and(|claim| claim.taken && claim.payee == Some((desk, key.clone())))
    }

    /// Invoices that desks were paid under.
    pub fn taken(&self) -> impl Iterator<Item = (usize, &IdempotencyKey, PaymentHash)> {
        self.claims
            .iter()
            .filter(|(_, claim)| claim.taken)
            .filter_map(|(hash, claim)| claim.payee.as_ref().map(|(desk, key)| (*desk, key, *hash)))
    }

    /// Gives up invoices that nobody paid.
    pub fn expire(&mut self, now: Timestamp) {
        for desk in 0..self.executors.len() {
            let over = |payment: &&Payment| {
                payment.direction == Direction::In
                    && payment.state == PaymentState::Pending
                    && payment.expires_at.is_some_and(|at| now > at.plus_secs(EXPIRED_AFTER_SECS))
            };
            let late: Vec<_> =
                self.executors[desk].payments.values().filter(over).cloned().collect();
            for payment in late {
                let state = PaymentState::Expired;
                self.keep(desk, Payment { state, updated_at: now, ..payment }, now);
            }
        }
    }

    fn keep(&mut self, desk: usize, payment: Payment, now: Timestamp) {
        let moved = payment.state == PaymentState::Settled;
        let balance = self.balance(desk, now);
        let executor = &mut self.executors[desk];
        executor.payments.insert(payment.key.clone(), payment.clone());
        executor.notice(NoticeKind::Payment(payment), now);
        if moved {
            executor.notice(NoticeKind::Balance(balance), now);
        }
    }
}

impl Executor {
    fn notice(&mut self, what: NoticeKind, at: Timestamp) {
        let cursor = self.notices.len() as u64 + 1;
        self.notices.push(Notice { cursor, at, what });
    }
}

/// A signed invoice whose preimage follows from `seed`.
fn invoice(seed: &str, amount_msat: u64, at: Timestamp, expiry_secs: u64) -> (String, Preimage) {
    thread_local! {
        static SECP: bitcoin::secp256k1::Secp256k1<bitcoin::secp256k1::All> =
            bitcoin::secp256k1::Secp256k1::new();
    }
    let preimage = Preimage(domain::Sha256Hash::of(seed.as_bytes()).0);
    let key = bitcoin::secp256k1::SecretKey::from_slice(&[0x42; 32])
        .expect("BUG: this number is a secret key");
    let bolt11 = InvoiceBuilder::new(Currency::Regtest)
        .description("simulated".into())
        .amount_milli_satoshis(amount_msat)
        .payment_hash(sha256::Hash::from_byte_array(preimage.payment_hash().0))
        .payment_secret(PaymentSecret([9; 32]))
        .duration_since_epoch(Duration::from_secs(at.as_secs()))
        .min_final_cltv_expiry_delta(144)
        .expiry_time(Duration::from_secs(expiry_secs))
        .build_signed(|hash| SECP.with(|secp| secp.sign_ecdsa_recoverable(hash, &key)))
        .expect("BUG: the invoice has all its parts");
    (bolt11.to_string(), preimage)
}
