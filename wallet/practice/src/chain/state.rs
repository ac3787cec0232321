//! What the chain is now: blocks, unspent coins, transactions by id, and the mempool.

use super::{
    mempool::Mempool,
    rules::{self, Lookup},
};
use bitcoin::{
    Block, BlockHash, Network, OutPoint, ScriptBuf, TxOut, Txid, Work, block::Header,
    constants::genesis_block,
};
use std::collections::HashMap;

/// An unspent output and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    pub output: TxOut,
    /// Height of the block that made it; for an unconfirmed one, the height it would get next.
    pub height: u32,
    pub coinbase: bool,
}

#[derive(Debug)]
pub struct State {
    blocks: Vec<Block>,
    hashes: Vec<BlockHash>,
    work: Vec<Work>,
    by_hash: HashMap<BlockHash, u32>,
    by_txid: HashMap<Txid, (u32, usize)>,
    coins: HashMap<OutPoint, Coin>,
    pub mempool: Mempool,
}

impl State {
    pub fn genesis() -> Self {
        let block = genesis_block(Network::Regtest);
        let hash = block.block_hash();
        // The genesis coinbase can't be spent, as in Bitcoin.
        Self {
            work: vec![block.header.work()],
            hashes: vec![hash],
            by_hash: HashMap::from([(hash, 0)]),
            by_txid: HashMap::new(),
            coins: HashMap::new(),
            mempool: Mempool::default(),
            blocks: vec![block],
        }
    }

    pub fn height(&self) -> u32 {
        u32::try_from(self.blocks.len() - 1).expect("BUG: fewer blocks than u32::MAX fit in memory")
    }

    pub fn tip(&self) -> BlockHash {
        self.hashes[self.hashes.len() - 1]
    }

    pub fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        self.by_hash.get(hash).copied()
    }

    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.hashes.get(height as usize).copied()
    }

    pub fn block_at(&self, height: u32) -> Option<&Block> {
        self.blocks.get(height as usize)
    }

    pub fn header_at(&self, height: u32) -> Option<&Header> {
        self.block_at(height).map(|block| &block.header)
    }

    /// All work up to and with this height.
    pub fn work_at(&self, height: u32) -> Option<Work> {
        self.work.get(height as usize).copied()
    }

    /// Height and position of a confirmed transaction.
    pub fn block_of(&self, txid: &Txid) -> Option<(u32, usize)> {
        self.by_txid.get(txid).copied()
    }

    pub fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.coins.get(outpoint)
    }

    /// The median of the last eleven block times up to this height (BIP113).
    pub fn median_time_past(&self, height: u32) -> u32 {
        let end = height as usize + 1;
        let start = end.saturating_sub(11);
        let mut times: Vec<u32> =
            self.blocks[start..end.min(self.blocks.len())].iter().map(|b| b.header.time).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    pub fn mature_coins(&self, script: &ScriptBuf) -> Vec<(OutPoint, TxOut)> {
        let next = self.height() + 1;
        let mut found: Vec<_> = self
            .coins
            .iter()
            .filter(|(outpoint, coin)| {
                coin.output.script_pubkey == *script
                    && rules::is_mature(coin, next)
                    && self.mempool.spender(outpoint).is_none()
            })
            .map(|(outpoint, coin)| (*outpoint, coin.output.clone()))
            .collect();
        found.sort_by(|(a, x), (b, y)| y.value.cmp(&x.value).then(a.cmp(b)));
        found
    }

    /// Adds a checked block: spends and makes its coins, and clears the mempool of what it holds.
    pub fn connect(&mut self, block: Block) {
        let height = self.height() + 1;
        let hash = block.block_hash();
        let txids: Vec<Txid> = block.txdata.iter().map(|tx| tx.compute_txid()).collect();
        self.mempool.connected(&txids, &block.txdata);
        for (position, (tx, txid)) in block.txdata.iter().zip(txids).enumerate() {
            for input in &tx.input {
                self.coins.remove(&input.previous_output);
            }
            self.add_coins(&txid, &tx.output, height, tx.is_coinbase());
            self.by_txid.insert(txid, (height, position));
        }
        let work = self.work[self.work.len() - 1] + block.header.work();
        self.work.push(work);
        self.hashes.push(hash);
        self.by_hash.insert(hash, height);
        self.blocks.push(block);
    }

    fn add_coins(&mut self, txid: &Txid, outputs: &[TxOut], height: u32, coinbase: bool) {
        for (vout, output) in (0_u32..).zip(outputs) {
            if !output.script_pubkey.is_op_return() {
                let coin = Coin { output: output.clone(), height, coinbase };
                self.coins.insert(OutPoint::new(*txid, vout), coin);
            }
        }
    }
}

impl Lookup for State {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        self.coins.get(outpoint).cloned()
    }

    fn median_time_past(&self, height: u32) -> u32 {
        Self::median_time_past(self, height)
    }
}
