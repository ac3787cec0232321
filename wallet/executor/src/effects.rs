//! The effects pump: does what committed events ask for, and reports what came of it.
//!
//! A payment or an invoice that was resumed from the outbox is looked up before it is done again;
//! what the backend cannot do now is tried again with growing pauses, and stays in the outbox.

use domain::{EffectId, IdempotencyKey, Msat, PaymentHash, Timestamp};
use host::{Pending, core::Effects};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::timeout};
use wallet::{
    Effect, Fact, Found, Input, Reply,
    io::{Delivery, fact_of},
};

use crate::{
    backend::{Backend, BackendError, InvoiceRequest, SendAnswer},
    house::House,
};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long an invoice waits for a channel that can take its payment.
const INVOICE_WAITS: Duration = Duration::from_secs(30);
/// How long a payment waits for a channel to leave by.
const PAYMENT_WAITS: Duration = Duration::from_secs(60);

/// Takes effects until the core ends. How many there can be is bounded at the core's door.
pub async fn run<B: Backend>(house: Arc<House<B>>, mut effects: Effects<Effect>) {
    let mut running = JoinSet::new();
    while let Some(pending) = effects.next().await {
        while running.try_join_next().is_some() {}
        let house = Arc::clone(&house);
        running.spawn(async move { perform(&house, pending).await });
    }
}

async fn perform<B: Backend>(house: &House<B>, pending: Pending<Effect>) {
    let Pending { id, effect, resumed } = pending;
    match effect {
        Effect::MakeInvoice { key, amount_msat, memo, expiry_secs } => {
            let fact = make_invoice(house, key, amount_msat, memo, expiry_secs).await;
            report(house, fact_of(id, fact)).await;
        }
        Effect::Send { key, payment_hash, bolt11, max_fee_msat } => {
            let out = Out { key, payment_hash, bolt11, max_fee: max_fee_msat };
            send(house, id, out, resumed).await;
        }
        Effect::Claim { key, amount_msat, .. } => {
            let preimage = house.secret.preimage(&key);
            repeat(house, id, move |backend| backend.claim(amount_msat, &preimage)).await;
        }
        Effect::TurnAway { payment_hash } => {
            repeat(house, id, move |backend| backend.turn_away(&payment_hash)).await;
        }
        Effect::LookUp { key, payment_hash } => look_up(house, id, key, payment_hash).await,
    }
    house.look.notify_one();
}

/// Into the log, once what the fact rests on is on the node's own disk.
async fn report<B: Backend>(house: &House<B>, delivery: Delivery) {
    if let Ok(backend) = house.backend()
        && let Err(error) = backend.settled_on_disk().await
    {
        tracing::error!(%error, "a fact is not reported; its effect stays in the outbox");
        return;
    }
    if let Err(error) = house.core.deliver(delivery).await {
        tracing::warn!(%error, "a fact could not be reported; its effect stays in the outbox");
    }
}

/// Does what is safe to do again until it is done or refused.
async fn repeat<B: Backend>(
    house: &House<B>,
    id: EffectId,
    work: impl Fn(&B) -> Result<(), BackendError> + Clone + Send + 'static,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        match house.with(work.clone()).await {
            Ok(Ok(())) => break,
            Ok(Err(BackendError::Refused(reason))) => {
                tracing::warn!(effect = %id, reason, "the node refused for good");
                break;
            }
            Ok(Err(error @ BackendError::NotNow(_))) => {
                tracing::debug!(effect = %id, %error, "tried again later");
            }
            Err(error) => tracing::debug!(effect = %id, %error, "tried again later"),
        }
        rest(&mut pause).await;
    }
    report(house, fact_of(id, Fact::EffectDone)).await;
}

async fn rest(pause: &mut Duration) {
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}

/// An invoice of the key's own hash. Made again after a crash it is the same promise: nobody was
/// given the first one before the log had it.
async fn make_invoice<B: Backend>(
    house: &House<B>,
    key: IdempotencyKey,
    amount_msat: Msat,
    memo: String,
    expiry_secs: u32,
) -> Fact {
    // Without a usable channel an invoice lacks the way to us.
    if timeout(INVOICE_WAITS, house.ready()).await.is_err() {
        let reason = "No channel can take a payment now, so no invoice was made.".into();
        return Fact::InvoiceRefused { key, reason };
    }
    let payment_hash = house.secret.preimage(&key).payment_hash();
    let request = InvoiceRequest { payment_hash, amount_msat, memo, expiry_secs };
    let mut pause = FIRST_PAUSE;
    loop {
        let asked = request.clone();
        let now = host::clock::now();
        let made = house.with(move |backend| match backend.look_up(&payment_hash) {
            settled @ Found::Settled { .. } => Err(BackendError::Refused(format!("{settled:?}"))),
            _ => backend.make_invoice(&asked),
        });
        match made.await {
            Ok(Ok(bolt11)) => {
                let expires_at = now.plus_secs(u64::from(expiry_secs));
                return Fact::InvoiceMade { key, payment_hash, bolt11, expires_at };
            }
            Ok(Err(BackendError::Refused(reason))) => return Fact::InvoiceRefused { key, reason },
            Ok(Err(error)) => tracing::debug!(%key, %error, "the invoice is tried again"),
            Err(error) => tracing::debug!(%key, %error, "the invoice is tried again"),
        }
        rest(&mut pause).await;
    }
}

/// What one payment asks of the backend.
struct Out {
    key: IdempotencyKey,
    payment_hash: PaymentHash,
    bolt11: String,
    max_fee: Msat,
}

/// Sends, once. Each fact goes into the inbox before another send or a failure of the same payment
/// is looked at: a late one would be taken for that of a later try.
async fn send<B: Backend>(house: &House<B>, id: EffectId, out: Out, resumed: bool) {
    let payment_hash = out.payment_hash;
    let mut pause = FIRST_PAUSE;
    let mut look_first = resumed;
    loop {
        if look_first {
            let no_sends = house.sending.lock().await;
            match house.with(move |backend| backend.look_up(&payment_hash)).await {
                // After a failure nothing is on its way; whether it is tried again is asked below.
                Ok(Found::Nothing | Found::Failed { .. }) => {}
                Ok(found) => {
                    let fact = Fact::LookedUp { key: out.key, found };
                    return report(house, fact_of(id, fact)).await;
                }
                Err(_) => {
                    drop(no_sends);
                    rest(&mut pause).await;
                    continue;
                }
            }
        }
        let is_ready = timeout(PAYMENT_WAITS, house.ready()).await.is_ok();
        let no_other_sends = house.sending.lock().await;
        if let Some(fact) = try_to_send(house, &out, is_ready).await {
            return report(house, fact_of(id, fact)).await;
        }
        drop(no_other_sends);
        look_first = true;
        rest(&mut pause).await;
    }
}

/// One try, where the payment still waits for it; nothing where the node does not run.
async fn try_to_send<B: Backend>(house: &House<B>, out: &Out, is_ready: bool) -> Option<Fact> {
    let key = out.key.clone();
    if house.ask(Input::MaySend { key: key.clone() }).await.is_err() {
        return Some(Fact::EffectDone);
    }
    if !is_ready {
        let reason = "No channel can send a payment now. Nothing was sent.".into();
        return Some(Fact::NotSent { key, reason });
    }
    let (text, max_fee) = (out.bolt11.clone(), out.max_fee);
    match house.with(move |backend| backend.send(&text, max_fee)).await {
        Ok(SendAnswer::Taken) => Some(Fact::SendTaken { key }),
        Ok(SendAnswer::NotSent(reason)) => Some(Fact::NotSent { key, reason }),
        Ok(SendAnswer::Refused(reason)) => Some(Fact::SendRefused { key, reason }),
        Ok(SendAnswer::Unclear(reason)) => Some(Fact::SendUnclear { key, reason }),
        Ok(SendAnswer::NotNow(reason)) => {
            tracing::debug!(%key, reason, "the payment waits for the node");
            None
        }
        Err(error) if error.code == "internal" => {
            Some(Fact::SendUnclear { key, reason: error.message })
        }
        Err(_) => None,
    }
}

/// Asks until the backend knows. What it does not know is asked for again with growing pauses; the
/// machine decides when that means that it never happened.
async fn look_up<B: Backend>(
    house: &House<B>,
    id: EffectId,
    key: IdempotencyKey,
    payment_hash: PaymentHash,
) {
    let mut pause = FIRST_PAUSE;
    let goes_out = house.secret.preimage(&key).payment_hash() != payment_hash;
    loop {
        let look = || house.with(move |backend: &B| backend.look_up(&payment_hash));
        let (mut found, mut no_sends) = (look().await, None);
        if goes_out && matches!(found, Ok(Found::Failed { .. } | Found::InFlight)) {
            no_sends = Some(house.sending.lock().await);
            found = look().await;
        }
        if let Ok(found) = found {
            let found = with_preimage(house, &key, payment_hash, found);
            let known = found != Found::Nothing;
            let fact = Fact::LookedUp { key: key.clone(), found };
            if known || is_over(house, &key).await {
                report(house, fact_of(id, fact)).await;
                return;
            }
            report(house, Delivery::new(Input::Fact(fact))).await;
        }
        drop(no_sends);
        rest(&mut pause).await;
    }
}

/// The node does not keep preimages that we derived; those of our invoices are filled in.
pub fn with_preimage<B: Backend>(
    house: &House<B>,
    key: &IdempotencyKey,
    payment_hash: PaymentHash,
    found: Found,
) -> Found {
    let ours = house.secret.preimage(key);
    match found {
        Found::Settled { amount_msat, fee_msat, preimage: None }
            if ours.payment_hash() == payment_hash =>
        {
            Found::Settled { amount_msat, fee_msat, preimage: Some(ours) }
        }
        other => other,
    }
}

async fn is_over<B: Backend>(house: &House<B>, key: &IdempotencyKey) -> bool {
    match house.ask(Input::Payment { key: key.clone() }).await {
        Ok(Reply::Payment(payment)) => payment.state.is_over(),
        _ => true,
    }
}

/// Time for what expires.
pub async fn tick<B: Backend>(house: Arc<House<B>>) {
    const EVERY: Duration = Duration::from_secs(1);
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut last = Timestamp::default();
    loop {
        every.tick().await;
        let now = host::clock::now();
        if now.since_ms(last) >= 900 {
            last = now;
            report(&house, Delivery::new(Input::Tick)).await;
        }
    }
}
