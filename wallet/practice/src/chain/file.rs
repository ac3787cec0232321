//! The chain's file: each block, and each transaction that came before its block, in order.

use super::{mempool::Entry, rules::Scripts, state::State};
use crate::frames::{FrameError, FrameFile, Magic};
use bitcoin::{
    Block, Transaction,
    consensus::encode::{deserialize, serialize},
};
use std::path::Path;

const MAGIC: Magic = *b"phchain1";
const MAX_RECORD_BYTES: usize = 8 * 1024 * 1024;
const BLOCK: u8 = 1;
const TRANSACTION: u8 = 2;

#[derive(Debug)]
pub struct ChainFile {
    frames: FrameFile,
}

impl ChainFile {
    /// Opens the file and brings `state`, which must be at genesis, to where it was.
    pub fn open(path: &Path, state: &mut State) -> Result<Self, FrameError> {
        let (frames, replayed) =
            FrameFile::open(path, MAGIC, MAX_RECORD_BYTES, |record| replay(state, record))?;
        tracing::info!(
            height = state.height(),
            waiting = state.mempool.entries().len(),
            records = replayed.frames,
            "the practice chain is loaded"
        );
        Ok(Self { frames })
    }

    pub fn append_block(&mut self, block: &Block) {
        let mut record = vec![BLOCK];
        record.extend_from_slice(&serialize(block));
        self.frames.append(&record);
    }

    pub fn append_tx(&mut self, entry: &Entry) {
        let mut record = vec![TRANSACTION];
        record.extend_from_slice(&entry.time_secs.to_le_bytes());
        record.extend_from_slice(&serialize(&entry.tx));
        self.frames.append(&record);
    }

    /// Returns when the disk has everything appended.
    pub fn commit(&mut self) -> Result<(), FrameError> {
        host::faults::step();
        self.frames.commit(true)?;
        host::faults::step();
        Ok(())
    }
}

fn replay(state: &mut State, record: &[u8]) -> Result<(), String> {
    match record.split_first() {
        Some((&BLOCK, bytes)) => {
            let block: Block = deserialize(bytes).map_err(|error| error.to_string())?;
            state.check_block(&block, Scripts::RanBefore).map_err(|error| error.to_string())?;
            state.connect(block);
        }
        Some((&TRANSACTION, bytes)) => {
            let (time, bytes) = bytes.split_first_chunk::<8>().ok_or("too short")?;
            let tx: Transaction = deserialize(bytes).map_err(|error| error.to_string())?;
            let entry = state
                .check_for_mempool(tx, u64::from_le_bytes(*time))
                .map_err(|error| error.to_string())?;
            state.add_to_mempool(entry);
        }
        _ => return Err("a record of no known kind".into()),
    }
    Ok(())
}
