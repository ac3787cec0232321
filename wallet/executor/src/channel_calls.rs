//! The calls about channels: asked of the backend, which does each once per key.

use domain::ErrorBody;
use serde_json::Value;
use wallet::channels::method;

use crate::{
    backend::Backend,
    house::House,
    server::{json, read},
};

/// Answers a call about channels; nothing where it is about something else.
pub async fn answer<B: Backend>(
    house: &House<B>,
    name: &str,
    params: Value,
) -> Option<Result<Value, ErrorBody>> {
    Some(match name {
        method::CHANNELS => ask(house, |backend| backend.channels()).await,
        method::QUOTE_CHANNEL => match read(params) {
            Ok(open) => ask(house, move |backend| backend.quote_channel(&open)).await,
            Err(error) => Err(error),
        },
        method::OPEN_CHANNEL => match read(params) {
            Ok(open) => ask(house, move |backend| backend.open_channel(&open)).await,
            Err(error) => Err(error),
        },
        method::CLOSE_CHANNEL => match read(params) {
            Ok(close) => ask(house, move |backend| backend.close_channel(&close)).await,
            Err(error) => Err(error),
        },
        _ => return None,
    })
}

async fn ask<B: Backend, T: serde::Serialize + Send + 'static>(
    house: &House<B>,
    call: impl FnOnce(&B) -> Result<T, ErrorBody> + Send + 'static,
) -> Result<Value, ErrorBody> {
    let answer = house.with(call).await??;
    // What is told is on the disk: the caller goes by it.
    if let Ok(backend) = house.backend() {
        backend
            .settled_on_disk()
            .await
            .map_err(|error| ErrorBody::new("node", error.to_string()).retryable())?;
    }
    house.look.notify_one();
    json(&answer)
}
