//! Drivers: each pulls its adapter's committed effects and reports what the world answered.

mod backoff;
pub mod blobs;
mod guests;
pub mod harness;
mod kept;
mod ordered;
mod relay;
pub mod resolve;
pub mod results;
pub mod sign;
pub mod submit;
pub mod wallet;

use domain::{EffectId, ErrorBody};
use engine::{Effect, Fact, GaveUp, Input};
use host::Pending;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

use crate::process::Inner;

/// Starts every driver.
pub fn spawn(desk: &Arc<Inner>, tasks: &mut JoinSet<()>) -> Result<(), ErrorBody> {
    harness::spawn(desk, tasks)?;
    blobs::spawn(desk, tasks)?;
    sign::spawn(desk, tasks)?;
    wallet::spawn(desk, tasks)?;
    relay::spawn(desk, tasks)?;
    tasks.spawn(tick(Arc::clone(desk)));
    tasks.spawn(wake_on_change(Arc::clone(desk)));
    Ok(())
}

/// One tick a second lets the machines see that time went by.
async fn tick(desk: Arc<Inner>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if desk.tell(Input::Fact(Fact::Tick)).await.is_err() {
            return;
        }
    }
}

/// Wakes the window after each new view.
async fn wake_on_change(desk: Arc<Inner>) {
    let mut views = desk.views();
    while views.changed().await.is_ok() {
        desk.wake();
    }
}

/// Says that an effect was not done and is not tried again: its lane hears of it, or the operator.
async fn give_up(desk: &Inner, effect: EffectId, what: Effect, tries: u32, why: String) {
    given_up(desk, effect, GaveUp { what, tries, why, may_be_out: true }).await;
}

async fn given_up(desk: &Inner, effect: EffectId, gave_up: GaveUp) {
    let GaveUp { tries, why, .. } = &gave_up;
    tracing::warn!(%effect, tries, why, "an effect was given up");
    let gave_up = Box::new(gave_up);
    let fact = Fact::GaveUp { effect: effect.clone(), gave_up };
    let _stopping = desk.core.deliver(Input::of_effect(effect, fact)).await;
}

/// An effect that its adapter's driver does not know: a bug, which the operator gets to see.
async fn not_ours(desk: &Inner, pending: Pending<Effect>) {
    tracing::error!(effect = %pending.id, "BUG: an effect came to a driver that does not know it");
    let why = "this version of the desk does not know how to do it".to_owned();
    give_up(desk, pending.id, pending.effect, 0, why).await;
}

/// The effects of one adapter; each driver takes its own once.
fn effects(desk: &Inner, adapter: &'static str) -> Result<host::core::Effects<Effect>, ErrorBody> {
    desk.core.effects(adapter).ok_or_else(|| {
        ErrorBody::new("internal", format!("the effects of {adapter} were taken twice"))
    })
}
