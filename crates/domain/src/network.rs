//! Which network the money is on. Practice is never mistaken for value.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// A private regtest chain on this machine: everything real except the value.
    #[default]
    Practice,
    Regtest,
    Signet,
    Mainnet,
}

impl Network {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Practice => "practice",
            Self::Regtest => "regtest",
            Self::Signet => "signet",
            Self::Mainnet => "mainnet",
        }
    }

    /// Whether its coins are worth something.
    pub const fn has_value(self) -> bool {
        matches!(self, Self::Mainnet)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Practice, Self::Regtest, Self::Signet, Self::Mainnet]
            .into_iter()
            .find(|network| network.as_str() == text)
            .ok_or_else(|| {
                format!("unknown network {text:?}: practice, regtest, signet or mainnet")
            })
    }
}
