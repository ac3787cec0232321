//! The rules of Bitcoin that this chain enforces, for transactions and for blocks.

use super::state::{Coin, State};
use bitcoin::{
    Amount, Block, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxOut, Weight,
    absolute::LockTime, consensus::encode::serialize, relative, script::Builder,
};
use std::collections::{HashMap, HashSet};

const COINBASE_MATURITY: u32 = 100;
const SUBSIDY_HALVING_INTERVAL: u32 = 150;
/// Below, a lock time is a height; from here on, a time (BIP65).
const LOCKTIME_THRESHOLD: u32 = 500_000_000;

/// Where a rule finds the coins and the clock of the chain.
pub trait Lookup {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin>;
    /// BIP113: the clock of lock times.
    fn median_time_past(&self, height: u32) -> u32;
}

/// Whether scripts are run: always, except for blocks from our own checksummed file, whose scripts
/// ran before they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    Verify,
    RanBefore,
}

/// Why a transaction breaks consensus; the words are those of bitcoind where it has them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxRefusal {
    #[error("bad-txns-vin-empty")]
    NoInputs,
    #[error("bad-txns-vout-empty")]
    NoOutputs,
    #[error("bad-txns-oversize")]
    Oversize,
    #[error("bad-txns-vout-toolarge")]
    TooMuchValue,
    #[error("bad-txns-inputs-duplicate")]
    SameInputTwice,
    #[error("bad-txns-inputs-missingorspent, input {input} ({outpoint})")]
    MissingOrSpent { input: usize, outpoint: OutPoint },
    #[error("bad-txns-premature-spend-of-coinbase, it matures at height {matures_at}")]
    Immature { matures_at: u32 },
    #[error("bad-txns-in-belowout, inputs {inputs}, outputs {outputs}")]
    SpendsMoreThanItHas { inputs: Amount, outputs: Amount },
    #[error("non-final, its lock time is {locktime}")]
    NotFinal { locktime: LockTime },
    #[error("non-BIP68-final, input {input} is still locked by its sequence")]
    SequenceLocked { input: usize },
    #[error("mandatory-script-verify-flag-failed (input {input}: {error:?})")]
    Script { input: usize, error: bitcoinconsensus::Error },
}

/// Why a block breaks consensus.
#[derive(Debug, thiserror::Error)]
pub enum BlockRefusal {
    #[error("it builds on {0}, which is not the tip")]
    NotOnTip(BlockHash),
    #[error("its hash misses the target")]
    ProofOfWork,
    #[error("its time is not after the median of the last eleven blocks")]
    TooEarly,
    #[error("its merkle root or witness commitment does not match its transactions")]
    Commitment,
    #[error("its first transaction, and no other, must be a coinbase that names its height")]
    Coinbase,
    #[error("its coinbase takes {taken}, more than {allowed}")]
    TakesTooMuch { taken: Amount, allowed: Amount },
    #[error("it is heavier than {}", Weight::MAX_BLOCK)]
    TooHeavy,
    #[error("transaction {position}: {source}")]
    Transaction { position: usize, source: TxRefusal },
}

/// What a block of this height may make out of nothing.
pub fn subsidy(height: u32) -> Amount {
    let halvings = height / SUBSIDY_HALVING_INTERVAL;
    Amount::from_sat(50_0000_0000_u64.checked_shr(halvings).unwrap_or(0))
}

/// BIP34: how a coinbase names its height.
pub fn height_push(height: u32) -> ScriptBuf {
    Builder::new().push_int(i64::from(height)).into_script()
}

pub fn is_mature(coin: &Coin, at_height: u32) -> bool {
    !coin.coinbase || at_height >= coin.height + COINBASE_MATURITY
}

/// Checks a transaction that would be in block `height`, and returns its fee.
pub fn check_tx(
    tx: &Transaction,
    height: u32,
    lookup: &impl Lookup,
    scripts: Scripts,
) -> Result<Amount, TxRefusal> {
    check_shape(tx)?;
    let parent_time = lookup.median_time_past(height - 1);
    check_final(tx, height, parent_time)?;
    let coins = tx
        .input
        .iter()
        .enumerate()
        .map(|(input, txin)| {
            let outpoint = txin.previous_output;
            lookup.coin(&outpoint).ok_or(TxRefusal::MissingOrSpent { input, outpoint })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(coin) = coins.iter().find(|coin| !is_mature(coin, height)) {
        return Err(TxRefusal::Immature { matures_at: coin.height + COINBASE_MATURITY });
    }
    check_sequences(tx, &coins, height, lookup)?;
    let fee = check_values(tx, &coins)?;
    if scripts == Scripts::Verify {
        check_scripts(tx, &coins)?;
    }
    Ok(fee)
}

fn check_shape(tx: &Transaction) -> Result<(), TxRefusal> {
    if tx.input.is_empty() {
        return Err(TxRefusal::NoInputs);
    }
    if tx.output.is_empty() {
        return Err(TxRefusal::NoOutputs);
    }
    if tx.weight() > Weight::MAX_BLOCK {
        return Err(TxRefusal::Oversize);
    }
    let mut seen = HashSet::with_capacity(tx.input.len());
    if !tx.input.iter().all(|input| seen.insert(input.previous_output)) {
        return Err(TxRefusal::SameInputTwice);
    }
    sum(tx.output.iter().map(|output| output.value)).map(|_| ()).ok_or(TxRefusal::TooMuchValue)
}

/// The sum, unless it or a part of it is more than there can ever be.
fn sum(values: impl Iterator<Item = Amount>) -> Option<Amount> {
    let mut total = Amount::ZERO;
    for value in values {
        total = total.checked_add(value)?;
        if value > Amount::MAX_MONEY || total > Amount::MAX_MONEY {
            return None;
        }
    }
    Some(total)
}

/// The absolute lock: it has passed, or every input waived it (BIP65, BIP113).
fn check_final(tx: &Transaction, height: u32, median_time: u32) -> Result<(), TxRefusal> {
    let lock = tx.lock_time.to_consensus_u32();
    let now = if lock < LOCKTIME_THRESHOLD { height } else { median_time };
    let waived = tx.input.iter().all(|input| input.sequence == Sequence::MAX);
    if lock == 0 || lock < now || waived {
        Ok(())
    } else {
        Err(TxRefusal::NotFinal { locktime: tx.lock_time })
    }
}

/// The relative locks of BIP68, counted from the block that made each coin.
fn check_sequences(
    tx: &Transaction,
    coins: &[Coin],
    height: u32,
    lookup: &impl Lookup,
) -> Result<(), TxRefusal> {
    if tx.version.0 < 2 {
        return Ok(());
    }
    let now = lookup.median_time_past(height - 1);
    for (input, (txin, coin)) in tx.input.iter().zip(coins).enumerate() {
        let open = match txin.sequence.to_relative_lock_time() {
            None => true,
            Some(relative::LockTime::Blocks(blocks)) => {
                height >= coin.height + u32::from(blocks.value())
            }
            Some(relative::LockTime::Time(time)) => {
                let made = lookup.median_time_past(coin.height.saturating_sub(1));
                u64::from(now) >= u64::from(made) + u64::from(time.value()) * 512
            }
        };
        if !open {
            return Err(TxRefusal::SequenceLocked { input });
        }
    }
    Ok(())
}

fn check_values(tx: &Transaction, coins: &[Coin]) -> Result<Amount, TxRefusal> {
    let inputs = sum(coins.iter().map(|coin| coin.output.value)).ok_or(TxRefusal::TooMuchValue)?;
    let outputs =
        sum(tx.output.iter().map(|output| output.value)).ok_or(TxRefusal::TooMuchValue)?;
    inputs.checked_sub(outputs).ok_or(TxRefusal::SpendsMoreThanItHas { inputs, outputs })
}

/// Runs every input's scripts by Bitcoin Core's own verifier, taproot included.
fn check_scripts(tx: &Transaction, coins: &[Coin]) -> Result<(), TxRefusal> {
    let bytes = serialize(tx);
    let spent: Vec<_> = coins.iter().map(|coin| utxo(&coin.output)).collect();
    for (input, coin) in coins.iter().enumerate() {
        bitcoinconsensus::verify(
            coin.output.script_pubkey.as_bytes(),
            coin.output.value.to_sat(),
            &bytes,
            Some(&spent),
            input,
        )
        .map_err(|error| TxRefusal::Script { input, error })?;
    }
    Ok(())
}

fn utxo(output: &TxOut) -> bitcoinconsensus::Utxo {
    let script = output.script_pubkey.as_bytes();
    bitcoinconsensus::Utxo {
        script_pubkey: script.as_ptr(),
        script_pubkey_len: u32::try_from(script.len()).expect("BUG: scripts fit in a block"),
        value: i64::try_from(output.value.to_sat()).expect("BUG: values are at most 21M BTC"),
    }
}

/// The coins a block sees: those of the chain, less what it spent, plus what it made so far.
struct InBlock<'a> {
    state: &'a State,
    spent: HashSet<OutPoint>,
    made: HashMap<OutPoint, Coin>,
}

impl Lookup for InBlock<'_> {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        if self.spent.contains(outpoint) {
            return None;
        }
        self.made.get(outpoint).cloned().or_else(|| self.state.coin(outpoint).cloned())
    }

    fn median_time_past(&self, height: u32) -> u32 {
        self.state.median_time_past(height)
    }
}

impl State {
    /// Checks that a block may follow the tip; changes nothing.
    pub fn check_block(&self, block: &Block, scripts: Scripts) -> Result<(), BlockRefusal> {
        let height = self.height() + 1;
        self.check_header(block)?;
        let Some((coinbase, rest)) = block.txdata.split_first() else {
            return Err(BlockRefusal::Coinbase);
        };
        let names_height = coinbase.input.first().is_some_and(|input| {
            input.script_sig.as_bytes().starts_with(height_push(height).as_bytes())
        });
        if !coinbase.is_coinbase() || !names_height || rest.iter().any(Transaction::is_coinbase) {
            return Err(BlockRefusal::Coinbase);
        }
        if !block.check_merkle_root() || !block.check_witness_commitment() {
            return Err(BlockRefusal::Commitment);
        }
        if block.weight() > Weight::MAX_BLOCK {
            return Err(BlockRefusal::TooHeavy);
        }
        let mut coins = InBlock { state: self, spent: HashSet::new(), made: HashMap::new() };
        let mut allowed = subsidy(height);
        for (position, tx) in (1..).zip(rest) {
            let fee = check_tx(tx, height, &coins, scripts)
                .map_err(|source| BlockRefusal::Transaction { position, source })?;
            allowed += fee;
            coins.spent.extend(tx.input.iter().map(|input| input.previous_output));
            let txid = tx.compute_txid();
            for (vout, output) in (0..).zip(&tx.output) {
                let coin = Coin { output: output.clone(), height, coinbase: false };
                coins.made.insert(OutPoint::new(txid, vout), coin);
            }
        }
        let taken = sum(coinbase.output.iter().map(|output| output.value));
        match taken {
            Some(taken) if taken <= allowed => Ok(()),
            other => Err(BlockRefusal::TakesTooMuch {
                taken: other.unwrap_or(Amount::MAX_MONEY),
                allowed,
            }),
        }
    }

    fn check_header(&self, block: &Block) -> Result<(), BlockRefusal> {
        let header = &block.header;
        if header.prev_blockhash != self.tip() {
            return Err(BlockRefusal::NotOnTip(header.prev_blockhash));
        }
        let target = self.header_at(0).map(|genesis| genesis.target());
        if target != Some(header.target()) || header.validate_pow(header.target()).is_err() {
            return Err(BlockRefusal::ProofOfWork);
        }
        if header.time <= self.median_time_past(self.height()) {
            return Err(BlockRefusal::TooEarly);
        }
        Ok(())
    }
}
