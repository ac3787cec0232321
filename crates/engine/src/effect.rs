//! Effects: what the two lanes and the operator ask of the adapters.

use domain::{IdempotencyKey, Msat, RepeatClass};
use nip90::{buyer::BuyerEffect, provider::ProviderEffect};
use serde::{Deserialize, Serialize};

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
    Receive { key: IdempotencyKey, amount_msat: Msat, memo: String, expiry_secs: u32 },
    Pay { key: IdempotencyKey, bolt11: String, amount_msat: Msat, max_fee_msat: Msat },
}

impl domain::machine::Effect for Effect {
    fn repeat_class(&self) -> RepeatClass {
        match self {
            Self::Provider(effect) => effect.repeat_class(),
            Self::Buyer(effect) => effect.repeat_class(),
            Self::Wallet(_) => RepeatClass::LookUpFirst,
        }
    }

    fn adapter(&self) -> &'static str {
        match self {
            Self::Provider(effect) => effect.adapter(),
            Self::Buyer(effect) => effect.adapter(),
            Self::Wallet(WalletEffect::Receive { .. }) => WALLET,
            Self::Wallet(WalletEffect::Pay { .. }) => PAYMENTS,
        }
    }
}
