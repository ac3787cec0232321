//! Builds the next block: the mempool in its order, a coinbase, and regtest's proof of work.

use super::{rules, state::State};
use bitcoin::{
    Amount, Block, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Weight,
    Witness,
    absolute::LockTime,
    block::{Header, Version},
    hashes::Hash,
    script::Builder,
    transaction,
};

/// Room for the header, the coinbase and the transaction count.
const RESERVED: Weight = Weight::from_wu(8_000);
/// BIP141: a push of 36 bytes that starts with this marks the witness commitment.
const WITNESS_COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// The next block, valid and mined.
pub fn build(state: &State, reward_to: &ScriptBuf, now_secs: u64) -> Block {
    let height = state.height() + 1;
    let mut weight = RESERVED;
    let mut fees = Amount::ZERO;
    let mut transactions = Vec::new();
    for entry in state.mempool.entries() {
        weight += entry.tx.weight();
        if weight > Weight::MAX_BLOCK {
            // Children stand behind their parents, so the rest can only wait.
            break;
        }
        fees += entry.fee;
        transactions.push(entry.tx.clone());
    }
    let mut txdata = vec![coinbase(height, reward_to, rules::subsidy(height) + fees)];
    txdata.append(&mut transactions);
    let earliest = state.median_time_past(height - 1) + 1;
    let time = u32::try_from(now_secs).unwrap_or(u32::MAX).max(earliest);
    let bits = state.header_at(0).map_or(CompactTarget::from_consensus(0), |genesis| genesis.bits);
    let header = Header {
        version: Version::from_consensus(0x2000_0000),
        prev_blockhash: state.tip(),
        merkle_root: bitcoin::TxMerkleNode::all_zeros(),
        time,
        bits,
        nonce: 0,
    };
    let mut block = Block { header, txdata };
    commit_to_witnesses(&mut block);
    block.header.merkle_root =
        block.compute_merkle_root().expect("BUG: the block has its coinbase");
    let target = block.header.target();
    while block.header.validate_pow(target).is_err() {
        block.header.nonce += 1;
    }
    block
}

fn coinbase(height: u32, reward_to: &ScriptBuf, value: Amount) -> Transaction {
    // The trailing zero keeps a short height over the two bytes that a coinbase must have.
    let named = rules::height_push(height).into_bytes();
    let script_sig = Builder::from(named).push_int(0).into_script();
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig,
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[[0_u8; 32]]),
        }],
        output: vec![TxOut { value, script_pubkey: reward_to.clone() }],
    }
}

/// Adds the output by which the coinbase commits to every witness (BIP141).
fn commit_to_witnesses(block: &mut Block) {
    let root = block.witness_root().expect("BUG: the block has its coinbase");
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    let mut script = WITNESS_COMMITMENT.to_vec();
    script.extend_from_slice(commitment.as_byte_array());
    block.txdata[0]
        .output
        .push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) });
}
