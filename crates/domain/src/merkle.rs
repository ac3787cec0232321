//! Merkle trees over the log (RFC 6962 §2.1): a frontier that grows by one leaf at a time.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{event::EventHash, ids::Sha256Hash, time::Timestamp};

/// The roots of the full subtrees, largest first: enough to append and to compute the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Sha256Hash>,
}

fn leaf(event: &EventHash) -> Sha256Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(event.0);
    Sha256Hash(hasher.finalize().into())
}

fn node(left: &Sha256Hash, right: &Sha256Hash) -> Sha256Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left.0);
    hasher.update(right.0);
    Sha256Hash(hasher.finalize().into())
}

impl Frontier {
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends the next event in local order.
    pub fn push(&mut self, event: &EventHash) {
        let mut hash = leaf(event);
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root of the full subtree that the newest leaf completed: over 2^(trailing zeros of
    /// `size`) leaves. Kept beside each leaf, these give back the frontier of any size.
    pub fn newest_peak(&self) -> Option<&Sha256Hash> {
        self.peaks.last()
    }

    /// The frontier of the first `size` leaves, from what was [`newest_peak`](Self::newest_peak)
    /// at each of the sizes that it asks for.
    pub fn from_peaks<E>(
        size: u64,
        mut peak_at: impl FnMut(u64) -> Result<Sha256Hash, E>,
    ) -> Result<Self, E> {
        let mut peaks = Vec::new();
        let mut at = size;
        while at > 0 {
            peaks.push(peak_at(at)?);
            at &= at - 1;
        }
        peaks.reverse();
        Ok(Self { size, peaks })
    }

    /// The RFC 6962 tree head; of an empty tree, SHA-256 of nothing.
    pub fn root(&self) -> Sha256Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => Sha256Hash::of(b""),
            Some(last) => peaks.fold(*last, |right, left| node(left, &right)),
        }
    }
}

/// A tree head over the first `size` events, before it is signed. Its canonical JSON is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub v: u32,
    pub size: u64,
    pub root: Sha256Hash,
    pub at: Timestamp,
}

/// A checkpoint with its BIP-340 signature over SHA-256 of its canonical JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCheckpoint {
    #[serde(flatten)]
    pub head: Checkpoint,
    pub signer: crate::ids::Pubkey,
    /// 64 bytes, hex.
    pub sig: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MTH of RFC 6962 §2.1, by its recursive definition.
    fn mth(leaves: &[EventHash]) -> Sha256Hash {
        match leaves {
            [] => Sha256Hash::of(b""),
            [one] => leaf(one),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                node(&mth(left), &mth(right))
            }
        }
    }

    #[test]
    fn agrees_with_the_recursive_definition() {
        let leaves: Vec<_> = (0..200_u64).map(|n| EventHash::of(&n.to_be_bytes())).collect();
        let mut frontier = Frontier::default();
        let mut newest: Vec<Option<Sha256Hash>> = Vec::new();
        for count in 0..=leaves.len() {
            assert_eq!(frontier.root(), mth(&leaves[..count]), "{count} leaves");
            let again = Frontier::from_peaks(count as u64, |at| newest[at as usize - 1].ok_or(()));
            assert_eq!(again.as_ref(), Ok(&frontier));
            if let Some(next) = leaves.get(count) {
                frontier.push(next);
                newest.push(frontier.newest_peak().copied());
            }
        }
    }
}
