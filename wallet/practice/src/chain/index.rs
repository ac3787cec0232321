//! Which transactions touched a script, and what spent an output: followed block by block, as the
//! chain never shrinks.

use super::State;
use bitcoin::{OutPoint, Script, Transaction, Txid};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// SHA-256 of a script, as Esplora names it.
pub type ScriptKey = [u8; 32];

/// An index over the blocks; the mempool is looked through at each question.
#[derive(Default)]
pub struct Index {
    /// Blocks below this height are in it.
    next: u32,
    history: HashMap<ScriptKey, Vec<Txid>>,
    spenders: HashMap<OutPoint, Txid>,
}

fn key(script: &Script) -> ScriptKey {
    Sha256::digest(script.as_bytes()).into()
}

impl Index {
    /// Takes in the blocks that came since the last time.
    pub fn follow(&mut self, state: &State) {
        while let Some(block) = state.block_at(self.next) {
            for tx in &block.txdata {
                let txid = tx.compute_txid();
                for key in keys(state, tx) {
                    let history = self.history.entry(key).or_default();
                    if history.last() != Some(&txid) {
                        history.push(txid);
                    }
                }
                for input in &tx.input {
                    self.spenders.insert(input.previous_output, txid);
                }
            }
            self.next += 1;
        }
    }

    /// In blocks, the oldest first.
    pub fn history(&self, key: &ScriptKey) -> &[Txid] {
        self.history.get(key).map_or(&[], Vec::as_slice)
    }

    /// In the mempool, in the order they came.
    pub fn waiting(&self, state: &State, key: &ScriptKey) -> Vec<Txid> {
        let entries = state.mempool.entries().iter();
        entries.filter(|e| keys(state, &e.tx).contains(key)).map(|e| e.txid).collect()
    }

    /// What spent an output in a block.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spenders.get(outpoint).copied()
    }
}

/// The scripts that a transaction pays or spends from, each once.
fn keys(state: &State, tx: &Transaction) -> Vec<ScriptKey> {
    let spent = tx.input.iter().filter_map(|input| {
        let from = input.previous_output;
        let tx = match state.block_of(&from.txid) {
            Some((height, place)) => state.block_at(height)?.txdata.get(place),
            None => state.mempool.get(&from.txid).map(|entry| &entry.tx),
        };
        tx?.output.get(from.vout as usize)
    });
    let mut keys: Vec<_> =
        spent.chain(&tx.output).map(|output| key(&output.script_pubkey)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
