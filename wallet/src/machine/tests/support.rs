//! A machine with a clock and a log, and a payee that signs invoices.

use domain::{
    EventData, EventHash, IdempotencyKey, Machine, Msat, Network, PaymentHash, Preimage, Recorded,
    Step, StreamId, Timestamp, event::Link,
};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use safety::SpendLimits;
use std::collections::HashMap;

use crate::{
    event::{Observed, WalletEvent},
    io::{Effect, Fact, Input, Made, Reply},
    state::Wallet,
    wire::{AccountId, NodeState, Pay, Payment, Rail, Receive},
};

pub const LIMITS: SpendLimits = SpendLimits {
    per_payment_msat: Msat::from_sat(1_000),
    per_day_msat: Msat::from_sat(3_000),
    max_fee_msat: Msat::from_sat(20),
};
pub const OPENING: Msat = Msat::from_sat(5_000);
pub const NODE_ID: &str = "02aa";

pub fn sat(sat: u32) -> Msat {
    Msat::from_sat(sat)
}

pub fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey::new(name).unwrap()
}

pub fn preimage(n: u64) -> Preimage {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Preimage(bytes)
}

/// Runs decide, writes and reads each event as the log would, applies it, collects effects.
pub struct Bench {
    pub wallet: Wallet,
    pub log: Vec<Recorded<WalletEvent>>,
    pub effects: Vec<Effect>,
    pub now: Timestamp,
    pub heads: HashMap<StreamId, (u64, EventHash)>,
}

impl Bench {
    pub fn unstarted() -> Self {
        Self {
            wallet: Wallet::default(),
            log: Vec::new(),
            effects: Vec::new(),
            now: Timestamp::from_secs(1_800_000_000),
            heads: HashMap::new(),
        }
    }

    /// Started, seen, and with one channel that holds [`OPENING`].
    pub fn new() -> Self {
        let mut bench = Self::unstarted();
        assert_eq!(bench.start(), Some(Reply::Done));
        bench.fact(Fact::ChannelPending { channel: "c1".into(), ours_msat: OPENING });
        bench.fact(Fact::ChannelReady { channel: "c1".into(), ours_msat: sat(1) });
        bench.fact(Fact::Observed(Observed {
            state: NodeState::Ready,
            detail: None,
            inbound_msat: sat(9_000),
            onchain_msat: Msat::ZERO,
            spendable_msat: None,
            unknown: false,
        }));
        bench
    }

    pub fn start(&mut self) -> Option<Reply> {
        self.input(Input::Start {
            network: Network::Practice,
            backend: "fake".into(),
            node_id: NODE_ID.into(),
            limits: LIMITS,
        })
    }

    pub fn input(&mut self, input: Input) -> Option<Reply> {
        let Step { emits, reply } = self.wallet.decide(&input, self.now);
        for emit in emits {
            let (seq, prev) =
                self.heads.get(&emit.stream).copied().unwrap_or((0, EventHash::GENESIS));
            let link = Link {
                stream: &emit.stream,
                seq: seq + 1,
                prev,
                at: self.now,
                bodies: &[],
                cause: None,
                data: &emit.event,
            };
            let canonical = link.canonical().unwrap();
            let hash = EventHash::of(&canonical);
            let read = domain::Envelope::parse(&canonical).unwrap().typed(hash).unwrap();
            assert!(!matches!(read.data, WalletEvent::Unknown(_)), "{}", emit.event.type_name());
            self.heads.insert(emit.stream, (seq + 1, hash));
            self.wallet.apply(&read);
            self.log.push(read);
            self.effects.extend(emit.effects);
        }
        reply
    }

    pub fn fact(&mut self, fact: Fact) {
        self.input(Input::Fact(fact));
    }

    pub fn pass(&mut self, secs: u64) {
        self.now = self.now.plus_secs(secs);
        self.input(Input::Tick);
    }

    pub fn receive(&mut self, name: &str, amount: Msat) -> Option<Reply> {
        self.input(Input::Receive(Receive { amount_msat: Some(amount), ..asked(key(name)) }))
    }

    /// Asks for an invoice and lets the backend make it, with the hash of `preimage(n)`.
    pub fn invoice(&mut self, name: &str, amount: Msat, n: u64) {
        assert_eq!(self.receive(name, amount), Some(Reply::Done));
        self.fact(Fact::InvoiceMade {
            key: key(name),
            made: Made {
                text: self.bolt11(amount, n),
                payment_hash: Some(preimage(n).payment_hash()),
                expires_at: Some(self.now.plus_secs(600)),
            },
        });
    }

    pub fn pay(&mut self, name: &str, bolt11: &str, amount: Msat) -> Option<Reply> {
        self.pay_as(&AccountId::operator(), name, bolt11, amount)
    }

    pub fn pay_as(
        &mut self,
        account: &AccountId,
        name: &str,
        bolt11: &str,
        amount: Msat,
    ) -> Option<Reply> {
        self.input(Input::Pay(Pay {
            key: key(name),
            account: account.clone(),
            request: bolt11.into(),
            amount_msat: amount,
            max_fee_msat: sat(10),
            lnurl: None,
        }))
    }

    /// A payment under way to the hash of `preimage(n)`.
    pub fn sending(&mut self, name: &str, amount: Msat, n: u64) {
        let bolt11 = self.bolt11(amount, n);
        assert_eq!(self.pay(name, &bolt11, amount), Some(Reply::Done), "{name}");
        self.fact(Fact::SendTaken { key: key(name), reference: None });
    }

    pub fn paid(&mut self, n: u64, fee: Msat) {
        self.fact(Fact::Paid {
            which: (hash(n)).into(),
            payment_hash: None,
            preimage: Some(preimage(n)),
            fee_msat: fee,
        });
    }

    pub fn received(&mut self, n: u64, amount: Msat) {
        self.fact(Fact::Received {
            which: (hash(n)).into(),
            rail: Rail::Bolt11,
            to: None,
            amount_msat: amount,
            preimage: Some(preimage(n)),
        });
    }

    pub fn payment(&mut self, name: &str) -> Payment {
        match self.input(Input::Payment { key: key(name) }) {
            Some(Reply::Payment(payment)) => *payment,
            other => panic!("{name}: {other:?}"),
        }
    }

    pub fn in_channels(&self) -> Msat {
        self.wallet.ledger.total_msat().unwrap()
    }

    pub fn bolt11(&self, amount: Msat, n: u64) -> String {
        signed(Currency::Regtest, Some(amount), n, self.now, 600, "coffee")
    }

    /// What the log gives again, from nothing.
    pub fn replayed(&self) -> Wallet {
        let mut wallet = Wallet::default();
        for event in &self.log {
            wallet.apply(event);
        }
        wallet
    }
}

/// An invoice of nothing yet, for work.
pub fn asked(key: IdempotencyKey) -> Receive {
    Receive {
        key,
        account: AccountId::operator(),
        rail: Rail::Bolt11,
        amount_msat: None,
        memo: "work".into(),
        expiry_secs: 600,
    }
}

pub fn hash(n: u64) -> PaymentHash {
    preimage(n).payment_hash()
}

pub fn code(reply: Option<Reply>) -> String {
    match reply {
        Some(Reply::Refused(error)) => error.code.into_owned(),
        other => format!("{other:?}"),
    }
}

/// An invoice of some other node.
pub fn signed(
    currency: Currency,
    amount: Option<Msat>,
    n: u64,
    at: Timestamp,
    expiry_secs: u64,
    memo: &str,
) -> String {
    use bitcoin::{
        hashes::{Hash, sha256},
        secp256k1::{Secp256k1, SecretKey},
    };
    let secp = Secp256k1::new();
    let secret = SecretKey::from_slice(&[41; 32]).unwrap();
    let builder = InvoiceBuilder::new(currency)
        .description(memo.into())
        .payment_hash(sha256::Hash::from_byte_array(hash(n).0))
        .payment_secret(PaymentSecret([3; 32]))
        .duration_since_epoch(std::time::Duration::from_secs(at.as_secs()))
        .expiry_time(std::time::Duration::from_secs(expiry_secs))
        .min_final_cltv_expiry_delta(18);
    let builder = match amount {
        Some(amount) => builder.amount_milli_satoshis(amount.get()),
        None => builder,
    };
    builder.build_signed(|digest| secp.sign_ecdsa_recoverable(digest, &secret)).unwrap().to_string()
}
