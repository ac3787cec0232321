//! Joining a running backend to the core: the start, then the pumps.

use domain::{ErrorBody, Network};
use safety::SpendLimits;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;
use wallet::{Input, io::ADAPTER};

use crate::{backend::Backend, effects, facts, house::House};

/// A peer that is gone is called again this soon, at first.
const CALL_PEERS_EVERY: Duration = Duration::from_secs(1);

/// Binds the log to this node, then lets effects and facts flow until the set is dropped.
pub async fn attach<B: Backend>(
    house: &Arc<House<B>>,
    backend: Arc<B>,
    network: Network,
    limits: SpendLimits,
) -> Result<JoinSet<()>, ErrorBody> {
    let start = Input::Start {
        network,
        backend: backend.name().to_owned(),
        node_id: backend.node_id(),
        limits,
    };
    house.ask(start).await?;
    let effects = house.core.effects(ADAPTER).ok_or_else(|| {
        ErrorBody::new("internal", "the wallet's effects were taken by someone else")
    })?;
    let _only_once = house.backend.set(Arc::clone(&backend));
    let mut pumps = JoinSet::new();
    pumps.spawn(effects::run(Arc::clone(house), effects));
    pumps.spawn(facts::run(Arc::clone(house), backend));
    pumps.spawn(facts::observe(Arc::clone(house)));
    pumps.spawn(effects::tick(Arc::clone(house)));
    pumps.spawn(keep_connected(Arc::clone(house)));
    Ok(pumps)
}

async fn keep_connected<B: Backend>(house: Arc<House<B>>) {
    loop {
        let _nobody_to_tell = house.with(Backend::keep_connected).await;
        tokio::time::sleep(CALL_PEERS_EVERY).await;
    }
}
