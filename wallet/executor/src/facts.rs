//! The facts pump: what the backend saw goes into the log; only then is it acknowledged.

use domain::Msat;
use host::core::AskError;
use std::{sync::Arc, time::Duration};
use wallet::{
    Fact, Found, Input, Reply, Sought, Which,
    event::Observed,
    wire::{Direction, NodeState},
};

use crate::{backend::Backend, house::House};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After something moved, the node is looked at again this soon.
const LOOK_SOON: Duration = Duration::from_millis(100);
/// Looks in a row that must find the same difference before people are told of it.
const DIFFERENCE_STANDS: u32 = 5;

/// Takes facts until the core ends.
pub async fn run<B: Backend>(house: Arc<House<B>>, backend: Arc<B>) {
    loop {
        let fact = backend.next_fact().await;
        let fact = with_preimage(&house, fact).await;
        if let Err(error) = backend.settled_on_disk().await {
            tracing::error!(%error, "no more facts are taken");
            return;
        }
        if !note(&house, fact).await {
            return;
        }
        while let Err(error) = house.with(Backend::acknowledge).await.and_then(|done| {
            done.map_err(|error| domain::ErrorBody::new("node", error.to_string()))
        }) {
            tracing::warn!(%error, "a fact that is in the log could not be acknowledged yet");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        house.look.notify_one();
    }
}

/// Into the log; false once the core has ended. An answer comes after the commit; without one the
/// fact comes again. What the log can't hold was said loudly by the loop, and would never be
/// otherwise.
async fn note<B: Backend>(house: &House<B>, mut fact: Fact) -> bool {
    let mut _no_sends = None;
    if let Fact::PayFailed { which, still_open, .. } = &mut fact {
        _no_sends = Some(house.sending.lock().await);
        match look(house, which).await {
            Some(Found::Settled { .. }) => {
                tracing::info!(payment = ?which, "what has arrived did not fail");
                return true;
            }
            Some(Found::InFlight) => *still_open = true,
            _ => {}
        }
    }
    !matches!(house.core.ask(Input::Fact(fact)).await, Err(AskError::Stopped(_)))
}

async fn look<B: Backend>(house: &House<B>, which: &Which) -> Option<Found> {
    let Ok(Reply::Payment(payment)) = house.ask(Input::PaymentOf(which.clone())).await else {
        return None;
    };
    let sought = Sought::of(&payment);
    house.with(move |backend| backend.look_up(&sought)).await.ok()?.ok()
}

/// The node does not tell the preimage of what we claimed: it is ours to derive.
async fn with_preimage<B: Backend>(house: &House<B>, mut fact: Fact) -> Fact {
    let Fact::Received { which: Which::Hash(payment_hash), preimage, .. } = &mut fact else {
        return fact;
    };
    if preimage.is_none()
        && let Ok(Reply::Payment(payment)) =
            house.ask(Input::PaymentOf(Which::Hash(*payment_hash))).await
        && payment.direction == Direction::In
    {
        let ours = house.secret.preimage(&payment.key);
        *preimage = Some(ours).filter(|ours| ours.payment_hash() == *payment_hash);
    }
    fact
}

/// Looks at the node now and then, and soon after something moved.
pub async fn observe<B: Backend>(house: Arc<House<B>>) {
    let mut told: Option<Observed> = None;
    let mut standing = 0;
    loop {
        if let Ok((mut seen, in_channels)) =
            house.with(|backend| (backend.observe(), backend.in_channels())).await
        {
            standing = if differs(&house, in_channels).await { standing + 1 } else { 0 };
            if standing >= DIFFERENCE_STANDS && seen.state == NodeState::Ready {
                seen.detail = Some("The ledger and the channels do not agree.".into());
            }
            house.node.send_if_modified(|state| {
                let changed = *state != seen.state;
                *state = seen.state;
                changed
            });
            if told.as_ref() != Some(&seen) {
                let fact = Input::Fact(Fact::Observed(seen.clone()));
                if house.core.deliver(domain::Delivery::new(fact)).await.is_err() {
                    return;
                }
                told = Some(seen);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = house.look.notified() => tokio::time::sleep(LOOK_SOON).await,
        }
    }
}

/// Whether the ledger says something else than the channels while nothing is under way in either.
async fn differs<B: Backend>(house: &House<B>, in_channels: Option<Msat>) -> bool {
    let Some(in_channels) = in_channels else { return false };
    match house.ask(Input::Summary).await {
        Ok(Reply::Summary(summary)) => {
            let idle = summary.balance.as_ref().is_some_and(|balance| {
                balance.pending_in_msat.is_zero() && balance.pending_out_msat.is_zero()
            });
            idle && summary.in_channels_msat != Some(in_channels)
        }
        _ => false,
    }
}
