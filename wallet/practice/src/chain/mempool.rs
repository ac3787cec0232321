//! Transactions that wait for a block, and what is asked of them before they may wait.

use super::{
    rules::{self, Lookup, Scripts, TxRefusal},
    state::{Coin, State},
};
use bitcoin::{Amount, OutPoint, Transaction, Txid, Weight};
use std::collections::{HashMap, HashSet};

/// bitcoind's standard limits.
const MAX_TX_WEIGHT: Weight = Weight::from_wu(400_000);
const MAX_ANCESTORS: usize = 25;
const MIN_RELAY_SAT_PER_VB: u64 = 1;
const MAX_TRANSACTIONS: usize = 5_000;

/// Why a transaction may not wait for a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Consensus(#[from] TxRefusal),
    #[error("Transaction outputs already in utxo set")]
    AlreadyConfirmed,
    #[error("coinbase")]
    Coinbase,
    #[error("tx-size, at most {MAX_TX_WEIGHT}")]
    TooHeavy,
    #[error(
        "txn-mempool-conflict: {outpoint} is already spent by {spender}; this chain replaces \
         nothing, mine a block instead"
    )]
    Conflict { outpoint: OutPoint, spender: Txid },
    #[error("min relay fee not met, {fee} < {needed}")]
    FeeTooLow { fee: Amount, needed: Amount },
    #[error("too-long-mempool-chain, more than {MAX_ANCESTORS} unconfirmed ancestors")]
    TooManyAncestors,
    #[error("mempool full, mine a block")]
    Full,
}

impl Refusal {
    /// bitcoind's code for it.
    pub fn code(&self) -> i32 {
        match self {
            Self::AlreadyConfirmed => -27,
            Self::Consensus(TxRefusal::MissingOrSpent { .. }) => -25,
            _ => -26,
        }
    }
}

/// A waiting transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub tx: Transaction,
    pub txid: Txid,
    /// When it came, in seconds, later than every one before it: readers that poll by this time
    /// (ldk-node does) must not miss a second one of the same second.
    pub time_secs: u64,
    /// The tip's height when it came.
    pub height: u32,
    pub fee: Amount,
}

/// In the order they came, so that parents stand before their children.
#[derive(Debug, Default)]
pub struct Mempool {
    entries: Vec<Entry>,
    places: HashMap<Txid, usize>,
    spent: HashMap<OutPoint, Txid>,
    latest_secs: u64,
}

impl Mempool {
    pub fn contains(&self, txid: &Txid) -> bool {
        self.places.contains_key(txid)
    }

    pub fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.places.get(txid).map(|place| &self.entries[*place])
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The waiting transaction that spends this output.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spent.get(outpoint).copied()
    }

    fn add(&mut self, entry: Entry) {
        self.latest_secs = self.latest_secs.max(entry.time_secs);
        self.places.insert(entry.txid, self.entries.len());
        self.spent.extend(entry.tx.input.iter().map(|input| (input.previous_output, entry.txid)));
        self.entries.push(entry);
    }

    /// Drops what a block now holds, and what its transactions made impossible.
    pub fn connected(&mut self, txids: &[Txid], transactions: &[Transaction]) {
        if self.entries.is_empty() {
            return;
        }
        let confirmed: HashSet<&Txid> = txids.iter().collect();
        let mut impossible: HashSet<Txid> = transactions
            .iter()
            .flat_map(|tx| &tx.input)
            .filter_map(|input| self.spender(&input.previous_output))
            .filter(|spender| !confirmed.contains(spender))
            .collect();
        self.entries.retain(|entry| {
            let orphaned =
                entry.tx.input.iter().any(|input| impossible.contains(&input.previous_output.txid));
            if orphaned {
                impossible.insert(entry.txid);
            }
            !confirmed.contains(&entry.txid) && !impossible.contains(&entry.txid)
        });
        self.places =
            self.entries.iter().enumerate().map(|(place, entry)| (entry.txid, place)).collect();
        self.spent.retain(|_, spender| self.places.contains_key(spender));
    }

    fn ancestors(&self, tx: &Transaction) -> usize {
        let mut found = HashSet::new();
        let mut open: Vec<Txid> = tx.input.iter().map(|input| input.previous_output.txid).collect();
        while let Some(txid) = open.pop() {
            if let Some(entry) = self.get(&txid)
                && found.insert(txid)
            {
                open.extend(entry.tx.input.iter().map(|input| input.previous_output.txid));
            }
            if found.len() > MAX_ANCESTORS {
                break;
            }
        }
        found.len()
    }
}

/// The coins a waiting transaction may spend: confirmed ones and those of other waiting ones.
struct WithMempool<'a>(&'a State);

impl Lookup for WithMempool<'_> {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        if let Some(coin) = self.0.coin(outpoint) {
            return Some(coin.clone());
        }
        let entry = self.0.mempool.get(&outpoint.txid)?;
        let output = entry.tx.output.get(outpoint.vout as usize)?.clone();
        Some(Coin { output, height: self.0.height() + 1, coinbase: false })
    }

    fn median_time_past(&self, height: u32) -> u32 {
        self.0.median_time_past(height)
    }
}

impl State {
    /// Checks a transaction against consensus, for the next block, and against the mempool.
    pub fn check_for_mempool(&self, tx: Transaction, now_secs: u64) -> Result<Entry, Refusal> {
        let txid = tx.compute_txid();
        if tx.is_coinbase() {
            return Err(Refusal::Coinbase);
        }
        if self.block_of(&txid).is_some() {
            return Err(Refusal::AlreadyConfirmed);
        }
        if tx.weight() > MAX_TX_WEIGHT {
            return Err(Refusal::TooHeavy);
        }
        if self.mempool.entries.len() >= MAX_TRANSACTIONS {
            return Err(Refusal::Full);
        }
        for input in &tx.input {
            let outpoint = input.previous_output;
            if let Some(spender) = self.mempool.spender(&outpoint) {
                return Err(Refusal::Conflict { outpoint, spender });
            }
        }
        if self.mempool.ancestors(&tx) > MAX_ANCESTORS {
            return Err(Refusal::TooManyAncestors);
        }
        let fee = rules::check_tx(&tx, self.height() + 1, &WithMempool(self), Scripts::Verify)?;
        let needed = Amount::from_sat(tx.weight().to_vbytes_ceil() * MIN_RELAY_SAT_PER_VB);
        if fee < needed {
            return Err(Refusal::FeeTooLow { fee, needed });
        }
        let time_secs = now_secs.max(self.mempool.latest_secs + 1);
        Ok(Entry { tx, txid, time_secs, height: self.height(), fee })
    }

    /// Adds a checked transaction.
    pub fn add_to_mempool(&mut self, entry: Entry) {
        self.mempool.add(entry);
    }
}
