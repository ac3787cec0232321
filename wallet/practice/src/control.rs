//! The control API of the practice network: JSON-RPC 2.0 over its local socket.

use crate::{
    counterparty::{CounterpartyError, JoinError, JoinRequest, PayError},
    practice::{Lightning, Running},
};
use domain::{ErrorBody, ExitCode};
use host::ipc::Handler;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    future::Future,
    pin::Pin,
    sync::{PoisonError, Weak},
};

/// Answers `status`, `join`, `pay`, `invoice`, `mine` and `shutdown`.
pub struct Control {
    running: Weak<Running>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pay {
    bolt11: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invoice {
    amount_msat: u64,
    #[serde(default)]
    memo: String,
    /// Commit to the memo's hash alone.
    #[serde(default)]
    by_hash: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mine {
    blocks: u32,
}

impl Control {
    pub fn new(running: Weak<Running>) -> Self {
        Self { running }
    }

    /// Answers one call.
    ///
    /// # Errors
    /// With a code, what happened and what to do.
    pub async fn answer(&self, method: &str, params: Value) -> Result<Value, ErrorBody> {
        let running = self.running.upgrade().ok_or_else(stopping)?;
        match method {
            "status" => Ok(status(&running)),
            "join" => {
                let request: JoinRequest = read(params)?;
                let joined = lightning(&running)?.counterparty.join(&request).await;
                to_json(joined.map_err(|error| join_error(&error))?)
            }
            "pay" => {
                let Pay { bolt11 } = read(params)?;
                let paid = lightning(&running)?.counterparty.pay(&bolt11).await;
                to_json(paid.map_err(|error| pay_error(&error))?)
            }
            "invoice" => {
                let Invoice { amount_msat, memo, by_hash } = read(params)?;
                let counterparty = &lightning(&running)?.counterparty;
                let made = match by_hash {
                    true => counterparty.invoice_by_hash(amount_msat, &memo).await,
                    false => counterparty.invoice(amount_msat, &memo).await,
                };
                to_json(made.map_err(|error| pay_error(&error))?)
            }
            "mine" => {
                let Mine { blocks } = read(params)?;
                let mined = lightning(&running)?.counterparty.mine(blocks).await;
                let height = mined.map_err(|error| mine_error(&error))?;
                Ok(json!({ "height": height }))
            }
            "shutdown" => {
                running.stop.send_replace(true);
                Ok(json!({}))
            }
            _ => Err(ErrorBody::new(
                "unknown_method",
                format!("There is no method {method:?} here."),
            )),
        }
    }
}

impl Handler for Control {
    fn call<'a>(
        &'a self,
        method: &'a str,
        params: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, ErrorBody>> + Send + 'a>> {
        Box::pin(self.answer(method, params))
    }
}

fn status(running: &Running) -> Value {
    let mut status = serde_json::to_value(&running.rendezvous).unwrap_or_default();
    status["address"] = json!(running.address);
    status["relay_events"] = json!(running.relay.stored_events());
    if let Some(lightning) = &running.lightning {
        let chain = lightning.chain.lock().unwrap_or_else(PoisonError::into_inner);
        status["height"] = json!(chain.height());
        status["tip"] = json!(chain.tip().to_string());
        drop(chain);
        status["onchain_msat"] = json!(lightning.counterparty.onchain_sat().saturating_mul(1_000));
        status["channels"] = json!(lightning.counterparty.channels());
    }
    status
}

fn lightning(running: &Running) -> Result<&Lightning, ErrorBody> {
    running.lightning.as_ref().ok_or_else(|| {
        ErrorBody::refused("no_lightning", "This practice network runs without Lightning.")
            .hint("Start it without --without-lightning.")
    })
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, ErrorBody> {
    serde_json::from_value(params)
        .map_err(|error| ErrorBody::new("invalid_params", error.to_string()).exit(ExitCode::Usage))
}

fn to_json(answer: impl serde::Serialize) -> Result<Value, ErrorBody> {
    serde_json::to_value(answer).map_err(|error| ErrorBody::new("internal", error.to_string()))
}

fn stopping() -> ErrorBody {
    ErrorBody::new("stopping", "The practice network is stopping.")
        .retryable()
        .exit(ExitCode::NotReachable)
}

fn join_error(error: &JoinError) -> ErrorBody {
    let text = error.to_string();
    match error {
        JoinError::NotADesk(_) => ErrorBody::new("invalid_params", text).exit(ExitCode::Usage),
        JoinError::TooMany => ErrorBody::refused("too_many_desks", text),
        JoinError::NotReachable { .. } => ErrorBody::new("desk_not_reachable", text)
            .hint("The desk's wallet must run and listen before it joins.")
            .retryable()
            .exit(ExitCode::NotReachable),
        JoinError::NotOpened(_) | JoinError::Closed(_) => {
            ErrorBody::new("channel_refused", text).retryable()
        }
        JoinError::NotFunded | JoinError::NotUsable => {
            ErrorBody::new("channel_not_usable", text).retryable().exit(ExitCode::TimedOut)
        }
        JoinError::NoRelay(_) | JoinError::Desks(_) | JoinError::Counterparty(_) => {
            ErrorBody::new("practice_failed", text)
        }
    }
}

fn pay_error(error: &PayError) -> ErrorBody {
    let text = error.to_string();
    match error {
        PayError::NotAnInvoice(_) | PayError::NoAmount | PayError::Memo | PayError::Zero => {
            ErrorBody::new("invalid_params", text).exit(ExitCode::Usage)
        }
        PayError::OtherNetwork => ErrorBody::refused("other_network", text),
        PayError::Expired => ErrorBody::refused("invoice_expired", text),
        PayError::Failed(_) => ErrorBody::new("payment_failed", text).retryable(),
        PayError::Unknown => ErrorBody::new("outcome_unknown", text)
            .hint("Pay the same invoice again: it is never paid twice.")
            .exit(ExitCode::OutcomeUnknown),
        PayError::Node(_) | PayError::Counterparty(_) => ErrorBody::new("practice_failed", text),
    }
}

fn mine_error(error: &CounterpartyError) -> ErrorBody {
    let text = error.to_string();
    match error {
        CounterpartyError::Chain(crate::chain::ChainError::TooManyBlocks(_)) => {
            ErrorBody::new("invalid_params", text).exit(ExitCode::Usage)
        }
        _ => ErrorBody::new("practice_failed", text),
    }
}
