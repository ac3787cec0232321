//! Lightning as the mint sees it: invoices that verify, and preimages that fit.

use async_trait::async_trait;
use cdk::{
    Amount, Bolt11Invoice, Stream,
    cdk_payment::{
        Bolt11Settings, CreateIncomingPaymentResponse, Error, Event, IncomingPaymentOptions,
        MakePaymentResponse, MintPayment, OutgoingPaymentOptions, PaymentIdentifier,
        PaymentQuoteResponse, SettingsResponse, WaitPaymentResponse,
    },
    lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret},
    nuts::{CurrencyUnit, MeltQuoteState},
    secp256k1::{
        Secp256k1, SecretKey,
        hashes::{Hash as _, sha256},
    },
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Hash = [u8; 32];

const NODE: [u8; 32] = [21; 32];
const OUTSIDE: [u8; 32] = [22; 32];
const FEE_SAT: u64 = 2;

/// What becomes of payments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mood {
    #[default]
    Pays,
    /// Finds no way.
    Fails,
    /// Stays on its way until the mood is another.
    Hangs,
}

#[derive(Default)]
struct World {
    mood: Mood,
    /// Invoices of the mint: their satoshi, and whether they were paid.
    ours: HashMap<Hash, (u64, bool)>,
    /// Preimages of invoices of others.
    theirs: HashMap<Hash, Hash>,
    /// Payments that the mint made or makes: their satoshi.
    made: HashMap<Hash, u64>,
}

pub struct Lightning {
    world: Mutex<World>,
}

impl Lightning {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { world: Mutex::default() })
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_mood(&self, mood: Mood) {
        self.world().mood = mood;
    }

    pub fn outside_invoice(&self, amount_msat: u64) -> Result<String, Error> {
        let preimage = random()?;
        let hash: Hash = Sha256::digest(preimage).into();
        self.world().theirs.insert(hash, preimage);
        sign(OUTSIDE, hash, amount_msat, "outside")
    }

    pub async fn outside_pays(&self, bolt11: &str) -> bool {
        let Ok(invoice) = bolt11.parse::<Bolt11Invoice>() else { return false };
        match self.world().ours.get_mut(invoice.payment_hash().as_byte_array()) {
            Some((_, paid)) => {
                *paid = true;
                true
            }
            None => false,
        }
    }

    /// How a payment of the mint stands now.
    fn outcome(&self, hash: Hash, unit: &CurrencyUnit) -> MakePaymentResponse {
        let world = self.world();
        let state = |status, proof, spent| MakePaymentResponse {
            payment_lookup_id: PaymentIdentifier::PaymentHash(hash),
            payment_proof: proof,
            status,
            total_spent: Amount::new(spent, unit.clone()),
        };
        let Some(sats) = world.made.get(&hash) else {
            return state(MeltQuoteState::Unpaid, None, 0);
        };
        match (world.mood, world.theirs.get(&hash)) {
            (Mood::Hangs, _) => state(MeltQuoteState::Pending, None, 0),
            (Mood::Pays, Some(preimage)) => {
                state(MeltQuoteState::Paid, Some(hex::encode(preimage)), sats + 1)
            }
            _ => state(MeltQuoteState::Failed, None, 0),
        }
    }
}

fn random() -> Result<Hash, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Custom(error.to_string()))?;
    Ok(bytes)
}

fn sign(key: [u8; 32], hash: Hash, amount_msat: u64, memo: &str) -> Result<String, Error> {
    let failed = |error: String| Error::Custom(error);
    let key = SecretKey::from_slice(&key).map_err(|error| failed(error.to_string()))?;
    let secret = PaymentSecret(random()?);
    InvoiceBuilder::new(Currency::Regtest)
        .description(memo.to_owned())
        .payment_hash(sha256::Hash::from_byte_array(hash))
        .payment_secret(secret)
        .current_timestamp()
        .min_final_cltv_expiry_delta(18)
        .amount_milli_satoshis(amount_msat)
        .build_signed(|digest| Secp256k1::new().sign_ecdsa_recoverable(digest, &key))
        .map(|invoice| invoice.to_string())
        .map_err(|error| failed(format!("{error:?}")))
}

#[async_trait]
impl MintPayment for Lightning {
    type Err = Error;

    async fn get_settings(&self) -> Result<SettingsResponse, Error> {
        let bolt11 = Bolt11Settings { mpp: false, amountless: false, invoice_description: true };
        Ok(SettingsResponse {
            unit: CurrencyUnit::Sat.to_string(),
            bolt11: Some(bolt11),
            bolt12: None,
            onchain: None,
            custom: HashMap::new(),
        })
    }

    async fn create_incoming_payment_request(
        &self,
        options: IncomingPaymentOptions,
    ) -> Result<CreateIncomingPaymentResponse, Error> {
        let IncomingPaymentOptions::Bolt11(options) = options else {
            return Err(Error::UnsupportedPaymentOption);
        };
        let hash: Hash = Sha256::digest(random()?).into();
        let sats = options.amount.value();
        let memo = options.description.unwrap_or_default();
        let request = sign(NODE, hash, sats * 1_000, &memo)?;
        self.world().ours.insert(hash, (sats, false));
        Ok(CreateIncomingPaymentResponse {
            request_lookup_id: PaymentIdentifier::PaymentHash(hash),
            request,
            expiry: options.unix_expiry,
            extra_json: None,
        })
    }

    async fn get_payment_quote(
        &self,
        unit: &CurrencyUnit,
        options: OutgoingPaymentOptions,
    ) -> Result<PaymentQuoteResponse, Error> {
        let OutgoingPaymentOptions::Bolt11(options) = options else {
            return Err(Error::UnsupportedPaymentOption);
        };
        let msat = options.bolt11.amount_milli_satoshis().unwrap_or_default();
        let hash = *options.bolt11.payment_hash().as_byte_array();
        Ok(PaymentQuoteResponse {
            request_lookup_id: Some(PaymentIdentifier::PaymentHash(hash)),
            amount: Amount::new(msat.div_ceil(1_000), unit.clone()),
            fee: Amount::new(FEE_SAT, unit.clone()),
            state: MeltQuoteState::Unpaid,
            extra_json: None,
            estimated_blocks: None,
            fee_options: None,
        })
    }

    async fn make_payment(
        &self,
        unit: &CurrencyUnit,
        options: OutgoingPaymentOptions,
    ) -> Result<MakePaymentResponse, Error> {
        let OutgoingPaymentOptions::Bolt11(options) = options else {
            return Err(Error::UnsupportedPaymentOption);
        };
        let msat = options.bolt11.amount_milli_satoshis().unwrap_or_default();
        let hash = *options.bolt11.payment_hash().as_byte_array();
        if self.world().made.insert(hash, msat.div_ceil(1_000)).is_some() {
            return Err(Error::InvoiceAlreadyPaid);
        }
        let made = self.outcome(hash, unit);
        if made.status == MeltQuoteState::Failed {
            self.world().made.remove(&hash);
        }
        Ok(made)
    }

    /// The mint asks for each invoice when it is asked itself.
    async fn wait_payment_event(&self) -> Result<Pin<Box<dyn Stream<Item = Event> + Send>>, Error> {
        Ok(Box::pin(futures::stream::pending()))
    }

    fn is_payment_event_stream_active(&self) -> bool {
        true
    }

    fn cancel_payment_event_stream(&self) {}

    async fn check_incoming_payment_status(
        &self,
        payment_identifier: &PaymentIdentifier,
    ) -> Result<Vec<WaitPaymentResponse>, Error> {
        let PaymentIdentifier::PaymentHash(hash) = payment_identifier else {
            return Ok(Vec::new());
        };
        let world = self.world();
        let paid = world.ours.get(hash).filter(|(_, paid)| *paid);
        Ok(paid
            .map(|(sats, _)| WaitPaymentResponse {
                payment_identifier: payment_identifier.clone(),
                payment_amount: Amount::new(*sats, CurrencyUnit::Sat),
                payment_id: hex::encode(hash),
            })
            .into_iter()
            .collect())
    }

    async fn check_outgoing_payment(
        &self,
        payment_identifier: &PaymentIdentifier,
    ) -> Result<MakePaymentResponse, Error> {
        match payment_identifier {
            PaymentIdentifier::PaymentHash(hash) => Ok(self.outcome(*hash, &CurrencyUnit::Sat)),
            _ => Err(Error::UnknownPaymentState),
        }
    }
}
