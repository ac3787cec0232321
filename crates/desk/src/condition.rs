//! Conditions of `wait`: what must hold of the view.

use domain::{ErrorBody, ExitCode};
use engine::View;
use std::str::FromStr;

/// `provider=online`, `wallet=ready`, `job=ID:STATE`, `payment=KEY:STATE`, `balance>=MSAT`,
/// `events>=N`, `idle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    Provider(String),
    Wallet(String),
    /// A prefix of the request id, and a state word, `over` or `succeeded`.
    Job(String, String),
    Payment(String, String),
    BalanceAtLeast(u64),
    EventsAtLeast(u64),
    /// No job runs and no payment is under way.
    Idle,
}

impl FromStr for Condition {
    type Err = ErrorBody;

    fn from_str(text: &str) -> Result<Self, ErrorBody> {
        let bad = || {
            ErrorBody::new("bad_condition", format!("The condition {text:?} is not understood."))
                .hint("provider=online, wallet=ready, job=ID:STATE, payment=KEY:STATE, balance>=MSAT or idle")
                .exit(ExitCode::Usage)
        };
        if text == "idle" {
            return Ok(Self::Idle);
        }
        if let Some((name, number)) = text.split_once(">=") {
            let number = number.parse().map_err(|_| bad())?;
            return match name {
                "balance" => Ok(Self::BalanceAtLeast(number)),
                "events" => Ok(Self::EventsAtLeast(number)),
                _ => Err(bad()),
            };
        }
        let (name, value) = text.split_once('=').ok_or_else(bad)?;
        let pair = || {
            let (id, state) = value.rsplit_once(':').ok_or_else(bad)?;
            Ok::<_, ErrorBody>((id.to_owned(), state.to_owned()))
        };
        match name {
            "provider" => Ok(Self::Provider(value.to_owned())),
            "wallet" => Ok(Self::Wallet(value.to_owned())),
            "job" => pair().map(|(id, state)| Self::Job(id, state)),
            "payment" => pair().map(|(key, state)| Self::Payment(key, state)),
            _ => Err(bad()),
        }
    }
}

impl Condition {
    pub fn holds(&self, view: &View) -> bool {
        match self {
            Self::Provider(state) => word(&view.provider.state) == *state,
            Self::Wallet(state) => word(&view.wallet.state) == *state,
            Self::Job(id, state) => view
                .jobs
                .iter()
                .filter(|job| job.request_id.to_string().starts_with(id.as_str()))
                .any(|job| match state.as_str() {
                    "over" => job.over,
                    "succeeded" => job.succeeded,
                    state => job.state == state || job.payment_state == state,
                }),
            Self::Payment(key, state) => view
                .payments
                .iter()
                .any(|payment| payment.key.as_str() == key && word(&payment.state) == *state),
            Self::BalanceAtLeast(msat) => {
                view.wallet.balance_msat.is_some_and(|balance| balance.get() >= *msat)
            }
            Self::EventsAtLeast(count) => view.log.events >= *count,
            Self::Idle => {
                let moving = |state| {
                    use engine::view::PaymentState::{Pending, Requested, Unknown};
                    matches!(state, Pending | Requested | Unknown)
                };
                let paying = view.payments.iter().any(|payment| {
                    payment.direction == engine::view::Direction::Out && moving(payment.state)
                });
                !paying && view.jobs.iter().all(|job| job.over)
            }
        }
    }
}

/// The word of a unit enum, as JSON writes it.
fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_form() {
        for (text, condition) in [
            ("provider=online", Condition::Provider("online".into())),
            ("job=ab12:over", Condition::Job("ab12".into(), "over".into())),
            ("payment=buy/ab:settled", Condition::Payment("buy/ab".into(), "settled".into())),
            ("balance>=1000", Condition::BalanceAtLeast(1_000)),
            ("idle", Condition::Idle),
        ] {
            assert_eq!(text.parse::<Condition>().unwrap(), condition);
        }
        for text in ["", "job=", "job=x", "balance>=", "balance>=-1", "weather=fine"] {
            assert_eq!(text.parse::<Condition>().unwrap_err().exit, ExitCode::Usage, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _read = text.parse::<Condition>();
        }
    }
}
