//! A private regtest chain: Bitcoin's rules for scripts, locks and values, one node, no re-orgs.
//!
//! It speaks the part of bitcoind's JSON-RPC that Lightning nodes, Electrum servers and simple tools
//! use. Blocks and
//! the mempool are synced to disk before anyone hears of them, so that no node ever sees the chain
//! shrink. Regtest is the only network it knows.

mod esplora;
mod file;
mod index;
mod mempool;
mod miner;
mod rpc;
mod rules;
mod server;
mod state;
mod treasury;

#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod tests;

pub use esplora::Esplora;
pub use mempool::Refusal;
pub use rpc::{Calls, MAX_REQUEST_BYTES, RpcError, RpcRequest, parse_requests};
pub use server::{Credentials, RpcServer};
pub use treasury::{Treasury, TreasuryError};

use crate::frames::FrameError;
use bitcoin::{BlockHash, OutPoint, ScriptBuf, Transaction, Txid};
use file::ChainFile;
use state::State;
use std::path::Path;
use tokio::sync::watch;

/// Most blocks that one call mines.
pub const MAX_MINED_AT_ONCE: u32 = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error("the practice chain's file failed: {0}")]
    File(#[from] FrameError),
    #[error("the mined block broke a rule ({0}); nothing was added")]
    Mining(#[from] rules::BlockRefusal),
    #[error("{0} blocks at once are too many; at most {MAX_MINED_AT_ONCE}")]
    TooManyBlocks(u32),
}

/// Why a transaction was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the practice chain's file failed: {0}")]
    File(#[from] FrameError),
}

/// The chain, its coins, its mempool and its file.
#[derive(Debug)]
pub struct Chain {
    state: State,
    file: ChainFile,
    /// A write failed, so memory may hold blocks that the disk has not: nothing is shown any more.
    failed: bool,
    changed: watch::Sender<()>,
}

impl Chain {
    /// Opens the chain kept in `path`, or starts one at regtest's genesis block.
    ///
    /// # Errors
    /// If the file can't be read or holds something that no chain of ours wrote.
    pub fn open(path: &Path) -> Result<Self, ChainError> {
        let mut state = State::genesis();
        let file = ChainFile::open(path, &mut state)?;
        Ok(Self { state, file, failed: false, changed: watch::Sender::new(()) })
    }

    pub fn height(&self) -> u32 {
        self.state.height()
    }

    pub fn tip(&self) -> BlockHash {
        self.state.tip()
    }

    /// Wakes whenever the mempool or the tip changes.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether the mempool holds this transaction.
    pub fn is_in_mempool(&self, txid: &Txid) -> bool {
        self.state.mempool.contains(txid)
    }

    /// Whether any transaction waits for a block.
    pub fn has_waiting_transactions(&self) -> bool {
        !self.state.mempool.entries().is_empty()
    }

    /// Whether a block holds this transaction.
    pub fn is_confirmed(&self, txid: &Txid) -> bool {
        self.state.block_of(txid).is_some()
    }

    /// What pays `script`, in blocks and waiting, in satoshi; spent or not.
    pub fn paid_to(&self, script: &ScriptBuf) -> Vec<u64> {
        let blocks = (0..=self.height()).filter_map(|height| self.state.block_at(height));
        let waiting = self.state.mempool.entries().iter().map(|entry| &entry.tx);
        blocks
            .flat_map(|block| &block.txdata)
            .chain(waiting)
            .flat_map(|tx| &tx.output)
            .filter(|output| output.script_pubkey == *script)
            .map(|output| output.value.to_sat())
            .collect()
    }

    /// Takes a transaction into the mempool; one that is already there or in a block stays so.
    ///
    /// # Errors
    /// If it breaks a rule, or the file can't be written.
    pub fn submit(&mut self, tx: Transaction, now_secs: u64) -> Result<Txid, SubmitError> {
        let txid = tx.compute_txid();
        if self.state.mempool.contains(&txid) {
            return Ok(txid);
        }
        let entry = self.state.check_for_mempool(tx, now_secs)?;
        self.file.append_tx(&entry);
        if let Err(error) = self.file.commit() {
            self.failed = true;
            return Err(error.into());
        }
        self.state.add_to_mempool(entry);
        self.changed.send_replace(());
        Ok(txid)
    }

    /// Mines `count` blocks that pay `reward_to`; the first takes what the mempool holds.
    ///
    /// # Errors
    /// If `count` is above [`MAX_MINED_AT_ONCE`] or the file can't be written.
    pub fn mine(
        &mut self,
        count: u32,
        reward_to: &ScriptBuf,
        now_secs: u64,
    ) -> Result<Vec<BlockHash>, ChainError> {
        if count > MAX_MINED_AT_ONCE {
            return Err(ChainError::TooManyBlocks(count));
        }
        // Nobody sees the state before this call is over: the caller holds the chain.
        let mut hashes = Vec::with_capacity(count as usize);
        let mut refused = None;
        for _ in 0..count {
            let block = miner::build(&self.state, reward_to, now_secs);
            if let Err(refusal) = self.state.check_block(&block, rules::Scripts::Verify) {
                refused = Some(refusal);
                break;
            }
            self.file.append_block(&block);
            hashes.push(block.block_hash());
            self.state.connect(block);
        }
        if let Err(error) = self.file.commit() {
            self.failed = true;
            return Err(error.into());
        }
        self.changed.send_replace(());
        refused.map_or(Ok(hashes), |refusal| Err(refusal.into()))
    }

    /// Whether a failed write made what is in memory unsafe to show; only a restart helps.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Unspent, mature outputs that pay `script`, largest first.
    fn mature_coins(&self, script: &ScriptBuf) -> Vec<(OutPoint, bitcoin::TxOut)> {
        self.state.mature_coins(script)
    }
}
