//! Effects: what the two lanes and the operator ask of the adapters.

use domain::{IdempotencyKey, RepeatClass};
use nip90::{buyer::BuyerEffect, provider::ProviderEffect};
use serde::{Deserialize, Serialize};
use wallet::wire;

/// Every adapter that a desk runs.
pub const ADAPTERS: &[&str] = &["relay", WALLET, PAYMENTS, "work", "sign", "blob"];

/// Makes invoices.
pub const WALLET: &str = "wallet";
/// Pays. An adapter of its own, so that no payment waits behind the invoices that strangers ask for.
pub const PAYMENTS: &str = "payments";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "lane", content = "do", rename_all = "snake_case")]
pub enum Effect {
    Provider(ProviderEffect),
    Buyer(BuyerEffect),
    Wallet(WalletEffect),
}

/// What the operator asks of the wallet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum WalletEffect {
    Receive(wire::Receive),
    Pay(wire::Pay),
    /// Approves or denies what waits; a second time is the first.
    Answer {
        key: IdempotencyKey,
        approve: bool,
    },
}

impl domain::machine::Effect for Effect {
    fn repeat_class(&self) -> RepeatClass {
        match self {
            Self::Provider(effect) => effect.repeat_class(),
            Self::Buyer(effect) => effect.repeat_class(),
            Self::Wallet(WalletEffect::Answer { .. }) => RepeatClass::Repeat,
            Self::Wallet(_) => RepeatClass::LookUpFirst,
        }
    }

    fn adapter(&self) -> &'static str {
        match self {
            Self::Provider(effect) => effect.adapter(),
            Self::Buyer(effect) => effect.adapter(),
            Self::Wallet(WalletEffect::Receive(_)) => WALLET,
            Self::Wallet(WalletEffect::Pay(_) | WalletEffect::Answer { .. }) => PAYMENTS,
        }
    }
}
