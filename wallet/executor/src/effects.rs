//! The effects pump: does what committed events ask for, and reports what came of it.
//!
//! A payment or an invoice that was resumed from the outbox is looked up before it is done again;
//! what the backend cannot do now is tried again with growing pauses, and stays in the outbox.

use domain::{EffectId, IdempotencyKey, Timestamp};
use host::{Pending, core::Effects};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::timeout};
use wallet::{
    Effect, Fact, Found, Input, InvoiceOrder, Order, Reply, Sought,
    io::{Delivery, fact_of},
    wire::{Direction, Rail},
};

use crate::{
    backend::{Backend, BackendError, SendAnswer},
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
        Effect::MakeInvoice(order) => {
            let fact = make_invoice(house, order).await;
            report(house, fact_of(id, fact)).await;
        }
        Effect::Send(order) => send(house, id, order, resumed).await,
        Effect::Claim { key, amount_msat, .. } => {
            let preimage = house.secret.preimage(&key);
            repeat(house, id, move |backend| backend.claim(amount_msat, &preimage)).await;
        }
        Effect::TurnAway { payment_hash } => {
            repeat(house, id, move |backend| backend.turn_away(&payment_hash)).await;
        }
        Effect::LookUp(sought) => look_up(house, id, sought).await,
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

/// Of the key's own hash, where the backend takes one: made again after a crash it is the same
/// promise. Nobody was given the first one before the log had it.
async fn make_invoice<B: Backend>(house: &House<B>, order: InvoiceOrder) -> Fact {
    let key = order.key.clone();
    // Without a usable channel an invoice lacks the way to us.
    if order.rail != Rail::Onchain && timeout(INVOICE_WAITS, house.ready()).await.is_err() {
        let reason = "No channel can take a payment now, so no invoice was made.".into();
        return Fact::InvoiceRefused { key, reason };
    }
    let payment_hash = house.secret.preimage(&key).payment_hash();
    let sought = Sought {
        key: key.clone(),
        direction: Direction::In,
        rail: order.rail,
        request: None,
        payment_hash: Some(payment_hash),
        reference: None,
        amount_msat: order.amount_msat.unwrap_or_default(),
        since: host::clock::now(),
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let (asked, before) = (order.clone(), sought.clone());
        let made = house.with(move |backend| {
            if backend.capabilities().chosen_hash
                && let settled @ Found::Settled { .. } = backend.look_up(&before)?
            {
                return Err(BackendError::Refused(format!("{settled:?}")));
            }
            backend.make_invoice(&asked, payment_hash)
        });
        match made.await {
            Ok(Ok(made)) => return Fact::InvoiceMade { key, made },
            Ok(Err(BackendError::Refused(reason))) => return Fact::InvoiceRefused { key, reason },
            Ok(Err(error)) => tracing::debug!(%key, %error, "the invoice is tried again"),
            Err(error) => tracing::debug!(%key, %error, "the invoice is tried again"),
        }
        rest(&mut pause).await;
    }
}

/// Sends, once. Each fact goes into the inbox before another send or a failure of the same payment
/// is looked at: a late one would be taken for that of a later try.
async fn send<B: Backend>(house: &House<B>, id: EffectId, order: Order, resumed: bool) {
    let mut pause = FIRST_PAUSE;
    let mut look_first = resumed;
    loop {
        if look_first {
            let no_sends = house.sending.lock().await;
            match look(house, &order.key).await {
                // After a failure nothing is on its way; whether it is tried again is asked below.
                Some(Found::Nothing | Found::Failed { .. }) => {}
                Some(found) => {
                    let fact = Fact::LookedUp { key: order.key, found };
                    return report(house, fact_of(id, fact)).await;
                }
                None => {
                    drop(no_sends);
                    rest(&mut pause).await;
                    continue;
                }
            }
        }
        let is_ready =
            order.rail == Rail::Onchain || timeout(PAYMENT_WAITS, house.ready()).await.is_ok();
        let no_other_sends = house.sending.lock().await;
        if let Some(fact) = try_to_send(house, &order, is_ready).await {
            return report(house, fact_of(id, fact)).await;
        }
        drop(no_other_sends);
        look_first = true;
        rest(&mut pause).await;
    }
}

/// What became of the payment of this key; nothing where there is no answer now.
async fn look<B: Backend>(house: &House<B>, key: &IdempotencyKey) -> Option<Found> {
    let Ok(Reply::Payment(payment)) = house.ask(Input::Payment { key: key.clone() }).await else {
        return None;
    };
    let sought = Sought::of(&payment);
    house.with(move |backend| backend.look_up(&sought)).await.ok()?.ok()
}

/// One try, where the payment still waits for it; nothing where the node does not run.
async fn try_to_send<B: Backend>(house: &House<B>, order: &Order, is_ready: bool) -> Option<Fact> {
    let key = order.key.clone();
    if house.ask(Input::MaySend { key: key.clone() }).await.is_err() {
        return Some(Fact::EffectDone);
    }
    if !is_ready {
        let reason = "No channel can send a payment now. Nothing was sent.".into();
        return Some(Fact::NotSent { key, reason });
    }
    let asked = order.clone();
    match house.with(move |backend| backend.send(&asked)).await {
        Ok(SendAnswer::Taken { reference }) => Some(Fact::SendTaken { key, reference }),
        Ok(SendAnswer::NotSent(reason)) => Some(Fact::NotSent { key, reason }),
        Ok(SendAnswer::Refused(reason)) => Some(Fact::SendRefused { key, reason }),
        Ok(SendAnswer::Unclear(reason)) => Some(Fact::SendUnclear { key, reason }),
        Ok(SendAnswer::NotNow(reason)) => {
            tracing::debug!(%key, reason, "the payment waits for the backend");
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
async fn look_up<B: Backend>(house: &House<B>, id: EffectId, sought: Sought) {
    let mut pause = FIRST_PAUSE;
    let key = sought.key.clone();
    let goes_out = sought.direction == Direction::Out;
    loop {
        let (mut found, mut no_sends) = (look(house, &key).await, None);
        if goes_out && matches!(found, Some(Found::Failed { .. } | Found::InFlight)) {
            no_sends = Some(house.sending.lock().await);
            found = look(house, &key).await;
        }
        if let Some(found) = found {
            let found = with_preimage(house, &sought, found);
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

/// The backend does not keep preimages that we derived; those of our invoices are filled in.
fn with_preimage<B: Backend>(house: &House<B>, sought: &Sought, found: Found) -> Found {
    let ours = house.secret.preimage(&sought.key);
    match found {
        Found::Settled { amount_msat, fee_msat, preimage: None, payment_hash, reference }
            if Some(ours.payment_hash()) == sought.payment_hash =>
        {
            let preimage = Some(ours);
            Found::Settled { amount_msat, fee_msat, preimage, payment_hash, reference }
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
