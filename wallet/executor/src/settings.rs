//! The operator's limits: `<home>/wallet/limits.json`, else the network's defaults.

use domain::Network;
use safety::SpendLimits;
use std::{
    io,
    path::{Path, PathBuf},
};

pub const LIMITS_FILE: &str = "limits.json";

#[derive(Debug, thiserror::Error)]
#[error("{path} is not understood ({source}); nothing was started, so that no other limit holds")]
pub struct BadLimits {
    path: PathBuf,
    source: io::Error,
}

/// The limits that hold. A file that is there and cannot be read is an error, never a default.
pub fn limits(dir: &Path, network: Network) -> Result<SpendLimits, BadLimits> {
    let path = dir.join(LIMITS_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| BadLimits { path, source: io::Error::from(error) }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(defaults(network)),
        Err(source) => Err(BadLimits { path, source }),
    }
}

fn defaults(network: Network) -> SpendLimits {
    match network {
        Network::Practice | Network::Regtest => SpendLimits::PRACTICE,
        Network::Signet | Network::Mainnet => SpendLimits::CAREFUL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Msat;

    #[test]
    fn a_file_wins_and_a_bad_one_is_never_a_default() {
        let dir = tempfile::tempdir().unwrap();
        let read = || limits(dir.path(), Network::Practice);
        assert_eq!(read().unwrap(), SpendLimits::PRACTICE);
        let write = |text: &str| std::fs::write(dir.path().join(LIMITS_FILE), text).unwrap();
        write(r#"{"per_payment_msat":1000,"per_day_msat":2000,"max_fee_msat":3}"#);
        assert_eq!(read().unwrap().per_payment_msat, Msat::from_sat(1));
        for bad in ["", "{}", r#"{"per_payment_msat":-1,"per_day_msat":2,"max_fee_msat":3}"#] {
            write(bad);
            assert!(read().is_err(), "{bad}");
        }
    }
}
