//! Drivers: each pulls its adapter's committed effects and reports what the world answered.

pub mod blobs;
pub mod harness;
mod kept;
mod ordered;
mod relay;
pub mod results;
pub mod sign;
pub mod submit;
pub mod wallet;

use domain::ErrorBody;
use engine::{Fact, Input};
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

/// The effects of one adapter; each driver takes its own once.
fn effects(
    desk: &Inner,
    adapter: &'static str,
) -> Result<host::core::Effects<engine::Effect>, ErrorBody> {
    desk.core.effects(adapter).ok_or_else(|| {
        ErrorBody::new("internal", format!("the effects of {adapter} were taken twice"))
    })
}
