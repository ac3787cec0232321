//! Why a vault can't be made or opened, told without any secret.

use std::{io, path::PathBuf};

use domain::Network;

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error(
        "there is no vault in {0}; make one with `identity init`, or restore one from its words"
    )]
    Missing(PathBuf),
    #[error("there is a vault in {0} already; it was not touched; move it away first")]
    Exists(PathBuf),
    #[error("this vault is of the {found} network, not of {asked}; nothing was changed")]
    OtherNetwork { found: Network, asked: Network },
    #[error("a passphrase is needed to open or keep this seed; give one")]
    PassphraseNeeded,
    #[error("a passphrase has at least {0} characters")]
    PassphraseTooShort(usize),
    #[error("the passphrase does not open this file; nothing was changed; try again")]
    WrongPassphrase,
    #[error("{path} is damaged ({detail}); restore the seed from its words or a backup")]
    Damaged { path: PathBuf, detail: String },
    #[error(
        "the seed is not the one this vault was made with; nothing was changed; restore the seed from its words or a backup"
    )]
    OtherSeed,
    #[error("the system's keychain does not hand out the seed: {0}; unlock it and try again")]
    Keychain(String),
    #[error("these are not the words of a seed: {0}")]
    BadWords(BadWords),
    #[error("no randomness from the system")]
    Entropy,
    #[error("{path} can't be read or written")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What is wrong with words, without telling any of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWords {
    #[error("{0} words instead of 12, 15, 18, 21 or 24")]
    Count(usize),
    #[error("word {0} is not in the English list of BIP-39")]
    Unknown(usize),
    #[error("their checksum does not hold: a word is wrong or two are exchanged")]
    Checksum,
}
