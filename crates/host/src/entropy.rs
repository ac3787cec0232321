//! Randomness for salts, tokens and command ids.

use domain::CommandId;

/// The system gave no randomness: nothing that needs a secret can go on.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no randomness: {0}")]
pub struct NoEntropy(String);

pub fn random_32() -> Result<[u8; 32], NoEntropy> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| NoEntropy(error.to_string()))?;
    Ok(bytes)
}

/// A fresh salt for a [`domain::Body`].
pub fn salt() -> Result<[u8; 32], NoEntropy> {
    random_32()
}

/// A fresh id for a command that came without one.
pub fn command_id() -> Result<CommandId, NoEntropy> {
    let id = hex::encode(&random_32()?[..16]);
    CommandId::new(id).map_err(|error| NoEntropy(error.to_string()))
}
