//! Payments on the chain, from the intent to the transaction: what leaves is on disk before. And the
//! addresses that were given out, with what was paid to them.
//!
//! ldk-node makes a transaction and forgets it until the chain source shows it again, so a crash in
//! between would leave nobody who knows. Here the intent is written first, and the front shows us
//! each transaction before it leaves: the one that pays the intent's script the intent's amount is
//! written beside it, or held back where its fee is above the limit. So an intent without a
//! transaction that was read from the disk is proof that nothing left, and one with it can be sent
//! again as it was, any number of times.

use ldk_durable::{DurableStore, Gate};
use ldk_node::{
    bitcoin::{
        Address, FeeRate, ScriptBuf, Transaction, Txid,
        consensus::encode::{deserialize, deserialize_hex, serialize_hex},
    },
    lightning::util::{
        persist::KVStoreSync,
        ser::{BigSize, Readable},
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use wallet::Fact;

const NAMESPACE: &str = "pilothouse";
const SENDS: &str = "onchain_sends";
const ADDRESSES: &str = "onchain_addresses";
/// Where ldk-node keeps its on-chain wallet's transactions.
const BDK: &str = "bdk_wallet";
const BDK_GRAPH: &str = "tx_graph";
const BDK_VERSION: u8 = 1;
/// How long a transaction may take from the node to its front.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);
/// What a change output may add to a fee where it is left out: itself, and an input that spends it.
const NO_CHANGE_VBYTES: u64 = 100;
const DUST_SAT: u64 = 546;

/// One payment on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    pub script: ScriptBuf,
    /// None: everything that can be sent.
    pub amount_sat: Option<u64>,
    sat_per_kwu: u64,
    max_fee_sat: u64,
    /// The transaction that left, in hex.
    tx: Option<String>,
    /// It was held back: this transaction, as its fee would have been up to so much.
    refused: Option<(Txid, u64)>,
    /// The log knows that it is deep in the chain.
    #[serde(default)]
    told: bool,
    /// This process asked the node for it, so the node may still come with its transaction.
    #[serde(skip)]
    asked_now: bool,
}

impl Send {
    pub fn new(
        script: ScriptBuf,
        amount_sat: Option<u64>,
        rate: FeeRate,
        max_fee_sat: u64,
    ) -> Self {
        Self {
            script,
            amount_sat,
            sat_per_kwu: rate.to_sat_per_kwu(),
            max_fee_sat,
            tx: None,
            refused: None,
            told: false,
            asked_now: true,
        }
    }

    /// What left, once it did.
    pub fn transaction(&self) -> Option<Transaction> {
        self.tx.as_ref().and_then(|hex| deserialize_hex(hex).ok())
    }

    /// What the transaction pays its payee.
    pub fn paid_sat(&self, tx: &Transaction) -> u64 {
        let to_payee = tx.output.iter().filter(|output| output.script_pubkey == self.script);
        to_payee.map(|output| output.value.to_sat()).sum()
    }

    /// Whether the node may still come with a transaction for it.
    pub fn is_open(&self) -> bool {
        self.tx.is_none() && self.refused.is_none() && self.asked_now
    }

    fn pays(&self, tx: &Transaction) -> bool {
        tx.output.iter().any(|output| {
            output.script_pubkey == self.script
                && self.amount_sat.is_none_or(|sat| output.value.to_sat() == sat)
        })
    }

    /// The most that this transaction can cost at the rate that the node was told.
    fn fee_at_most(&self, tx: &Transaction) -> u64 {
        // Signatures may be a byte shorter than they were estimated.
        let weight = tx.weight().to_wu() + 4 * tx.input.len() as u64;
        let fee = (weight * self.sat_per_kwu).div_ceil(1_000);
        match (tx.output.len(), self.amount_sat) {
            (1, Some(_)) => fee + DUST_SAT + (4 * NO_CHANGE_VBYTES * self.sat_per_kwu) / 1_000,
            _ => fee,
        }
    }
}

/// An address that was given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Issued {
    address: String,
    script: ScriptBuf,
    /// Outputs of which the log knows, `txid:output`.
    told: Vec<String>,
}

/// An output that pays an address that was given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payin {
    pub address: String,
    pub outpoint: String,
    pub sat: u64,
}

/// What the log is being told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Sent(Txid),
    Received { address: String, outpoint: String },
}

/// What became of a payment that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    Yes(Txid),
    /// Held back: the fee would be this.
    TooDear(u64),
    /// Not in time: it may still leave.
    NotYet,
}

/// Why an intent is not taken.
#[derive(Debug, thiserror::Error)]
pub enum IntentError {
    #[error("this payment has left already")]
    Known,
    #[error("another payment to the same address is on its way to the chain")]
    SameAddress,
    #[error("it could not be written: {0}")]
    NotWritten(String),
}

/// The payments on the chain that this wallet made or meant to make.
pub struct Outgoing {
    store: Arc<DurableStore>,
    gate: Gate,
    sends: Mutex<BTreeMap<String, Send>>,
    issued: Mutex<BTreeMap<String, Issued>>,
    moved: Condvar,
    /// What was told and is not acknowledged.
    telling: Mutex<Option<(News, Fact)>>,
}

impl Outgoing {
    /// Reads what is on disk.
    pub fn open(store: Arc<DurableStore>, gate: Gate) -> io::Result<Self> {
        Ok(Self {
            sends: Mutex::new(read_all(&store, SENDS)?),
            issued: Mutex::new(read_all(&store, ADDRESSES)?),
            store,
            gate,
            moved: Condvar::new(),
            telling: Mutex::new(None),
        })
    }

    fn issued(&self) -> MutexGuard<'_, BTreeMap<String, Issued>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sends(&self) -> MutexGuard<'_, BTreeMap<String, Send>> {
        self.sends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, key: &str, send: &Send) -> io::Result<()> {
        self.put(SENDS, key, send)
    }

    fn put(&self, kind: &str, key: &str, what: &impl Serialize) -> io::Result<()> {
        let bytes = serde_json::to_vec(what)?;
        KVStoreSync::write(&*self.store, NAMESPACE, kind, key, bytes)
            .map_err(|error| io::Error::other(error.to_string()))
    }

    /// The address that was given out for a key.
    pub fn address_of(&self, key: &str) -> Option<String> {
        self.issued().get(key).map(|issued| issued.address.clone())
    }

    /// An address is about to be given out.
    pub fn issue(&self, key: &str, address: &Address) -> io::Result<()> {
        let script = address.script_pubkey();
        let issued = Issued { address: address.to_string(), script, told: Vec::new() };
        self.put(ADDRESSES, key, &issued)?;
        self.issued().insert(key.to_owned(), issued);
        Ok(())
    }

    /// What a transaction pays to addresses that were given out, and the log was not told of.
    pub fn payins(&self, tx: &Transaction) -> Vec<Payin> {
        let txid = tx.compute_txid();
        let issued = self.issued();
        let outputs = (0_u32..).zip(&tx.output).filter_map(|(vout, output)| {
            let of = issued.values().find(|issued| issued.script == output.script_pubkey)?;
            let outpoint = format!("{txid}:{vout}");
            let sat = output.value.to_sat();
            (!of.told.contains(&outpoint)).then(|| Payin {
                address: of.address.clone(),
                outpoint,
                sat,
            })
        });
        outputs.collect()
    }

    /// The transactions of the node's on-chain wallet, as it wrote them.
    pub fn wallet_transactions(&self) -> Vec<Transaction> {
        let read = KVStoreSync::read(&*self.store, BDK, "", BDK_GRAPH);
        read.ok().and_then(|bytes| graph(&bytes)).unwrap_or_default()
    }

    /// Whether anyone was given an address.
    pub fn has_issued(&self) -> bool {
        !self.issued().is_empty()
    }

    /// What is being told, or what `news` finds next; the same until it is acknowledged.
    pub fn tell(&self, news: impl FnOnce() -> Option<(News, Fact)>) -> Option<Fact> {
        let mut telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        if telling.is_none() {
            *telling = news();
        }
        telling.as_ref().map(|(_, fact)| fact.clone())
    }

    /// What was told is in the log; false where nothing of ours was.
    pub fn acknowledge(&self) -> io::Result<bool> {
        let mut telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((news, _)) = &*telling else { return Ok(false) };
        match news {
            News::Sent(txid) => {
                for (key, send) in self.sends().iter_mut() {
                    if send.transaction().is_some_and(|tx| tx.compute_txid() == *txid) {
                        send.told = true;
                        self.write(key, send)?;
                    }
                }
            }
            News::Received { address, outpoint } => {
                for (key, issued) in self.issued().iter_mut() {
                    if issued.address == *address {
                        issued.told.push(outpoint.clone());
                        self.put(ADDRESSES, key, issued)?;
                    }
                }
            }
        }
        *telling = None;
        Ok(true)
    }

    /// Notes what will be asked of the node. One that left, or may yet, is not meant twice.
    pub fn intend(&self, key: &str, send: Send) -> Result<(), IntentError> {
        let mut sends = self.sends();
        if sends.get(key).is_some_and(|known| known.tx.is_some() || known.is_open()) {
            return Err(IntentError::Known);
        }
        let same = |known: &Send| known.script == send.script && known.is_open();
        if sends.iter().any(|(of, known)| of != key && same(known)) {
            return Err(IntentError::SameAddress);
        }
        self.write(key, &send).map_err(|error| IntentError::NotWritten(error.to_string()))?;
        sends.insert(key.to_owned(), send);
        Ok(())
    }

    /// The node made no transaction of it.
    pub fn forget(&self, key: &str) {
        let mut sends = self.sends();
        if sends.get(key).is_some_and(|known| known.tx.is_none()) {
            sends.remove(key);
            if let Err(error) = KVStoreSync::remove(&*self.store, NAMESPACE, SENDS, key, false) {
                tracing::warn!(%error, "a payment that was not made could not be forgotten");
            }
        }
    }

    pub fn get(&self, key: &str) -> Option<Send> {
        self.sends().get(key).cloned()
    }

    /// What left, and is not known by the log to be deep in the chain.
    pub fn untold(&self) -> Vec<Transaction> {
        self.untold_sends().iter().filter_map(|(_, send)| send.transaction()).collect()
    }

    /// The same, with the keys of their payments.
    pub fn untold_sends(&self) -> Vec<(String, Send)> {
        let sends = self.sends();
        let untold = sends.iter().filter(|(_, send)| !send.told);
        untold.map(|(key, send)| (key.clone(), send.clone())).collect()
    }

    /// Waits until the payment's transaction leaves or is held back. Blocks.
    pub fn wait(&self, key: &str) -> Left {
        let sends = self.sends();
        let open = |sends: &mut BTreeMap<String, Send>| sends.get(key).is_some_and(Send::is_open);
        let (sends, _in_time) = self
            .moved
            .wait_timeout_while(sends, LEAVES_WITHIN, open)
            .unwrap_or_else(PoisonError::into_inner);
        match sends.get(key) {
            Some(Send { refused: Some((_, fee)), .. }) => Left::TooDear(*fee),
            Some(send) => match send.transaction() {
                Some(tx) => Left::Yes(tx.compute_txid()),
                None => Left::NotYet,
            },
            None => Left::NotYet,
        }
    }

    /// A transaction is about to leave: notes whose it is, and waits until the disk has that.
    ///
    /// # Errors
    /// If it must not leave: its fee is above the payment's limit, or nothing can be written.
    pub async fn leaving(&self, tx: &Transaction) -> Result<(), String> {
        {
            let txid = tx.compute_txid();
            let mut sends = self.sends();
            // The node tries again to send what was held back.
            let held = |send: &Send| matches!(send.refused, Some((of, _)) if of == txid);
            if sends.values().any(held) {
                return Err("its fee is above the payment's limit".into());
            }
            let of = sends.iter_mut().find(|(_, send)| send.is_open() && send.pays(tx));
            if let Some((key, send)) = of {
                let fee = send.fee_at_most(tx);
                if fee > send.max_fee_sat {
                    send.refused = Some((txid, fee));
                } else {
                    send.tx = Some(serialize_hex(tx));
                }
                self.write(key, send).map_err(|error| error.to_string())?;
                let held_back = send.refused.is_some();
                self.moved.notify_all();
                if held_back {
                    return Err(format!("its fee of up to {fee} sat is above the limit"));
                }
            }
        }
        self.gate.pass().await.map_err(|error| error.to_string())
    }
}

/// The transactions of ldk-node's record of them: a version, then TLVs (BOLT 1), of which the first
/// is a count and as many transactions, each a TLV stream of its own. Nothing where it is another.
fn graph(bytes: &[u8]) -> Option<Vec<Transaction>> {
    let mut from = bytes;
    let version: u8 = Readable::read(&mut from).ok()?;
    let (kind, _length): (BigSize, BigSize) =
        (Readable::read(&mut from).ok()?, Readable::read(&mut from).ok()?);
    if version != BDK_VERSION || kind.0 != 0 {
        return None;
    }
    let count: BigSize = Readable::read(&mut from).ok()?;
    let mut found = Vec::new();
    for _ in 0..count.0 {
        let _stream: BigSize = Readable::read(&mut from).ok()?;
        let kind: BigSize = Readable::read(&mut from).ok()?;
        let length: BigSize = Readable::read(&mut from).ok()?;
        let length = usize::try_from(length.0).ok().filter(|_| kind.0 == 0)?;
        let (tx, rest) = from.split_at_checked(length)?;
        found.push(deserialize(tx).ok()?);
        from = rest;
    }
    Some(found)
}

fn read_all<T: DeserializeOwned>(
    store: &DurableStore,
    kind: &str,
) -> io::Result<BTreeMap<String, T>> {
    let failed = |error: ldk_node::lightning::io::Error| io::Error::other(error.to_string());
    let mut found = BTreeMap::new();
    for key in KVStoreSync::list(store, NAMESPACE, kind).map_err(failed)? {
        let bytes = KVStoreSync::read(store, NAMESPACE, kind, &key).map_err(failed)?;
        found.insert(key, serde_json::from_slice(&bytes)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldk_node::bitcoin::{
        Amount, OutPoint, Sequence, TxIn, TxOut, Witness, absolute::LockTime, transaction::Version,
    };

    fn script(byte: u8) -> ScriptBuf {
        ScriptBuf::from_bytes(vec![0, 20].into_iter().chain([byte; 20]).collect())
    }

    fn tx(to: u8, sat: u64) -> Transaction {
        let output =
            |byte, sat| TxOut { value: Amount::from_sat(sat), script_pubkey: script(byte) };
        let input = TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[[0_u8; 71].as_slice(), [0; 33].as_slice()]),
        };
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![input],
            output: vec![output(to, sat), output(99, 5_000)],
        }
    }

    fn rate() -> FeeRate {
        FeeRate::from_sat_per_vb(2).unwrap()
    }

    fn open(dir: &std::path::Path) -> Outgoing {
        let (store, gate) = DurableStore::open(dir).unwrap();
        gate.built();
        Outgoing::open(Arc::new(store), gate).unwrap()
    }

    #[tokio::test]
    async fn what_leaves_is_known_after_a_crash_and_what_did_not_is_too() {
        let dir = tempfile::tempdir().unwrap();
        let outgoing = open(dir.path());
        for (key, to) in [("left", 1), ("stayed", 2)] {
            outgoing.intend(key, Send::new(script(to), Some(1_000), rate(), 1_000)).unwrap();
        }
        outgoing.leaving(&tx(1, 999)).await.unwrap();
        assert!(outgoing.get("left").unwrap().is_open(), "another amount is another payment");
        outgoing.leaving(&tx(1, 1_000)).await.unwrap();
        assert_eq!(outgoing.wait("left"), Left::Yes(tx(1, 1_000).compute_txid()));
        drop(outgoing);
        let outgoing = open(dir.path());
        assert_eq!(outgoing.get("left").unwrap().transaction(), Some(tx(1, 1_000)));
        let stayed = outgoing.get("stayed").unwrap();
        assert!(!stayed.is_open() && stayed.transaction().is_none());
        let again = |key| outgoing.intend(key, Send::new(script(1), Some(1_000), rate(), 1_000));
        assert!(matches!(again("left"), Err(IntentError::Known)));
        assert!(again("later").is_ok(), "the first one to this address has left");
        assert!(matches!(again("third"), Err(IntentError::SameAddress)));
        outgoing.leaving(&tx(1, 1_000)).await.unwrap();
        assert!(outgoing.get("later").unwrap().transaction().is_some());
    }

    #[test]
    fn only_the_node_s_own_form_is_read() {
        use ldk_node::bitcoin::consensus::serialize;
        let tx = tx(1, 1_000);
        let raw = serialize(&tx);
        let length = u8::try_from(raw.len()).unwrap();
        let one = [vec![length + 2, 0, length], raw].concat();
        let set = [vec![1], one].concat();
        let bytes = [vec![1, 0, u8::try_from(set.len()).unwrap()], set, vec![2, 1, 0]].concat();
        assert_eq!(graph(&bytes), Some(vec![tx]));
        for cut in 0..bytes.len() - 3 {
            assert_eq!(graph(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(graph(&[2, 0, 1, 0]), None);
        assert_eq!(graph(&[1, 0, 1, 0]), Some(Vec::new()));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _read = graph(&bytes);
        }
    }

    #[tokio::test]
    async fn an_address_is_its_key_s_and_each_output_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let outgoing = open(dir.path());
        let address =
            Address::from_script(&script(1), ldk_node::bitcoin::Network::Regtest).unwrap();
        outgoing.issue("k", &address).unwrap();
        let paid = tx(1, 700);
        let payin = outgoing.payins(&paid).remove(0);
        assert_eq!((payin.sat, payin.address.as_str()), (700, address.to_string().as_str()));
        let news = News::Received { address: payin.address, outpoint: payin.outpoint };
        assert!(!outgoing.acknowledge().unwrap());
        assert_eq!(outgoing.tell(|| Some((news, Fact::EffectDone))), Some(Fact::EffectDone));
        assert_eq!(outgoing.tell(|| None), Some(Fact::EffectDone), "until it is acknowledged");
        assert!(outgoing.acknowledge().unwrap());
        assert_eq!(outgoing.tell(|| None), None);
        drop(outgoing);
        let outgoing = open(dir.path());
        assert_eq!(outgoing.address_of("k"), Some(address.to_string()));
        assert!(outgoing.payins(&paid).is_empty());
    }

    #[tokio::test]
    async fn what_costs_too_much_does_not_leave() {
        let dir = tempfile::tempdir().unwrap();
        let outgoing = open(dir.path());
        outgoing.intend("dear", Send::new(script(1), Some(1_000), rate(), 100)).unwrap();
        for _ in 0..2 {
            assert!(outgoing.leaving(&tx(1, 1_000)).await.is_err(), "as often as it is tried");
        }
        assert!(matches!(outgoing.wait("dear"), Left::TooDear(fee) if fee > 100));
        assert!(outgoing.untold().is_empty());
    }
}
