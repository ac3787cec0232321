//! The key that block rewards go to, and payments out of it: where practice coins come from.

use super::{Chain, SubmitError};
use bitcoin::{
    Amount, CompressedPublicKey, EcdsaSighashType, Network, OutPoint, PrivateKey, ScriptBuf,
    Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    absolute::LockTime,
    secp256k1::{Message, Secp256k1, SecretKey},
    sighash::SighashCache,
    transaction::Version,
};
use host::home::write_private;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Generous for a few inputs at one satoshi per byte.
const FEE_PER_INPUT_AND_OUTPUT: Amount = Amount::from_sat(300);

#[derive(Debug, thiserror::Error)]
pub enum TreasuryError {
    #[error("cannot use {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} does not hold a key; delete the practice folder to start anew")]
    NotAKey { path: PathBuf },
    #[error("the system gave no randomness: {0}")]
    NoEntropy(getrandom::Error),
    #[error("the practice treasury has {available}, {needed} are needed; mine more blocks")]
    TooLittle { available: Amount, needed: Amount },
    #[error("the treasury's payment was not taken: {0}")]
    Submit(#[from] SubmitError),
}

/// Holds the coins that mining makes. Nothing of value: it is regtest.
#[derive(Debug)]
pub struct Treasury {
    key: SecretKey,
    script: ScriptBuf,
}

impl Treasury {
    /// The key kept in `path`, made there at the first start.
    ///
    /// # Errors
    /// If the file can't be read or written, or holds something else.
    pub fn open(path: &Path) -> Result<Self, TreasuryError> {
        let io = |source| TreasuryError::Io { path: path.to_owned(), source };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut fresh = vec![0; 32];
                getrandom::fill(&mut fresh).map_err(TreasuryError::NoEntropy)?;
                write_private(path, &fresh).map_err(io)?;
                fresh
            }
            Err(error) => return Err(io(error)),
        };
        let key = SecretKey::from_slice(&bytes)
            .map_err(|_| TreasuryError::NotAKey { path: path.to_owned() })?;
        let public = CompressedPublicKey::from_private_key(
            &Secp256k1::signing_only(),
            &PrivateKey::new(key, Network::Regtest),
        )
        .map_err(|_| TreasuryError::NotAKey { path: path.to_owned() })?;
        let script = ScriptBuf::new_p2wpkh(&public.wpubkey_hash());
        Ok(Self { key, script })
    }

    /// Where block rewards go.
    pub fn script(&self) -> &ScriptBuf {
        &self.script
    }

    /// Pays `outputs` from mature rewards; the transaction waits in the mempool.
    ///
    /// # Errors
    /// If there are too few mature rewards or the chain refuses the transaction.
    pub fn pay(
        &self,
        chain: &mut Chain,
        outputs: Vec<TxOut>,
        now_secs: u64,
    ) -> Result<Txid, TreasuryError> {
        let asked: Amount = outputs.iter().map(|output| output.value).sum();
        let mut chosen = Vec::new();
        let mut available = Amount::ZERO;
        let mut needed = asked;
        for (outpoint, output) in chain.mature_coins(&self.script) {
            available += output.value;
            chosen.push((outpoint, output));
            let parts = u64::try_from(chosen.len() + outputs.len() + 1).unwrap_or(u64::MAX);
            needed = asked + FEE_PER_INPUT_AND_OUTPUT * parts;
            if available >= needed {
                break;
            }
        }
        if chosen.is_empty() || available < needed {
            return Err(TreasuryError::TooLittle { available, needed });
        }
        let mut tx = unsigned(&chosen, outputs);
        tx.output.push(TxOut { value: available - needed, script_pubkey: self.script.clone() });
        self.sign(&mut tx, &chosen);
        Ok(chain.submit(tx, now_secs)?)
    }

    fn sign(&self, tx: &mut Transaction, spent: &[(OutPoint, TxOut)]) {
        let secp = Secp256k1::signing_only();
        let public = self.key.public_key(&secp);
        let unsigned = tx.clone();
        let mut cache = SighashCache::new(&unsigned);
        for (input, (_, output)) in spent.iter().enumerate() {
            let sighash = cache
                .p2wpkh_signature_hash(input, &self.script, output.value, EcdsaSighashType::All)
                .expect("BUG: the script is our own P2WPKH and the input exists");
            let signature = bitcoin::ecdsa::Signature::sighash_all(
                secp.sign_ecdsa(&Message::from(sighash), &self.key),
            );
            tx.input[input].witness = Witness::p2wpkh(&signature, &public);
        }
    }
}

fn unsigned(spent: &[(OutPoint, TxOut)], output: Vec<TxOut>) -> Transaction {
    let input = spent
        .iter()
        .map(|(outpoint, _)| TxIn {
            previous_output: *outpoint,
            sequence: Sequence::ENABLE_LOCKTIME_NO_RBF,
            ..TxIn::default()
        })
        .collect();
    Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input, output }
}
