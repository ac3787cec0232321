//! What comes back: transactions, results, errors and notifications of NIP-47.

use domain::{Msat, PaymentHash, Preimage};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Code, MAX_TEXT, Method, Refusal, Told, filled_or_none, known_or_none, null_is_zero, shown,
    tamed,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    Incoming,
    Outgoing,
}

/// How a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Pending,
    Settled,
    Expired,
    Failed,
    /// Locked for a hold invoice, which this wallet does not make.
    Accepted,
}

/// An invoice or a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    #[serde(rename = "type")]
    pub flow: Flow,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known_or_none")]
    pub state: Option<Standing>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled_or_none")]
    pub invoice: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled_or_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled_or_none")]
    pub preimage: Option<Preimage>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled_or_none")]
    pub payment_hash: Option<PaymentHash>,
    #[serde(default, deserialize_with = "null_is_zero")]
    pub amount: Msat,
    #[serde(default, deserialize_with = "null_is_zero")]
    pub fees_paid: Msat,
    #[serde(default, deserialize_with = "null_is_zero")]
    pub created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<u64>,
}

impl Transaction {
    /// Whether the wallet says that the money moved. Where it names no state, a time of settlement
    /// says so, and for a payment out its proof.
    pub fn is_settled(&self) -> bool {
        match self.state {
            Some(state) => state == Standing::Settled,
            None if self.flow == Flow::Outgoing => {
                self.settled_at.is_some_and(|at| at > 0) || self.preimage.is_some()
            }
            None => self.settled_at.is_some_and(|at| at > 0),
        }
    }
}

/// The answer to `pay_invoice`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    pub preimage: Preimage,
    #[serde(default, deserialize_with = "null_is_zero")]
    pub fees_paid: Msat,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transactions {
    pub transactions: Vec<Transaction>,
    /// How many there are in all; an extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_count: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceResult {
    pub balance: Msat,
}

/// The answer to `get_info`. `network` is `mainnet`, `testnet`, `signet` or `regtest`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfoResult {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled_or_none")]
    pub alias: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled_or_none")]
    pub color: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled_or_none")]
    pub pubkey: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled_or_none")]
    pub network: Option<String>,
    #[serde(default)]
    pub methods: Vec<String>,
    #[serde(default)]
    pub notifications: Vec<String>,
}

/// The answer to `get_budget`: empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetResult {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_budget: Option<Msat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_budget: Option<Msat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_period: Option<String>,
}

/// An answer: the method it is for, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub method: String,
    pub outcome: Result<Value, Refusal>,
}

/// Text that is no answer of NIP-47.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the wallet sent is not an answer of NIP-47: {0}")]
pub struct BadAnswer(pub String);

#[derive(Deserialize)]
struct RawAnswer {
    result_type: String,
    #[serde(default)]
    error: Option<RawError>,
    #[serde(default)]
    result: Option<Value>,
}

#[derive(Deserialize)]
struct RawError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Answer {
    pub fn ok(method: Method, result: &impl Serialize) -> Self {
        let outcome = serde_json::to_value(result)
            .map_err(|error| Refusal::new(Code::Internal, error.to_string()));
        Self { method: method.as_str().to_owned(), outcome }
    }

    pub fn refused(method: &str, why: Refusal) -> Self {
        Self { method: method.to_owned(), outcome: Err(why) }
    }

    pub fn to_json(&self) -> String {
        let answer = match &self.outcome {
            Ok(result) => json!({ "result_type": self.method, "error": null, "result": result }),
            Err(why) => json!({
                "result_type": self.method,
                "error": { "code": why.code.as_str(), "message": why.message },
                "result": null,
            }),
        };
        answer.to_string()
    }

    /// Reads a decrypted answer. An error wins over a result beside it.
    pub fn read(text: &str) -> Result<Self, BadAnswer> {
        if text.len() > MAX_TEXT {
            return Err(BadAnswer("it is too long".into()));
        }
        let raw: RawAnswer =
            serde_json::from_str(text).map_err(|error| BadAnswer(error.to_string()))?;
        let outcome = match (raw.error, raw.result) {
            (Some(error), _) => Err(Refusal {
                code: Code::parse(&error.code).unwrap_or(Code::Other),
                message: tamed(&error.message),
            }),
            (None, Some(result)) => Ok(result),
            (None, None) => return Err(BadAnswer("neither a result nor an error".into())),
        };
        Ok(Self { method: shown(&raw.result_type), outcome })
    }

    /// The result as the method's own type.
    pub fn result<T: DeserializeOwned>(self) -> Result<Result<T, Refusal>, BadAnswer> {
        match self.outcome {
            Ok(value) => {
                serde_json::from_value(value).map(Ok).map_err(|error| BadAnswer(error.to_string()))
            }
            Err(why) => Ok(Err(why)),
        }
    }
}

/// What a wallet tells without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub told: Told,
    pub transaction: Transaction,
}

#[derive(Deserialize)]
struct RawNotification {
    notification_type: String,
    notification: Value,
}

impl Notification {
    pub fn to_json(&self) -> String {
        json!({ "notification_type": self.told.as_str(), "notification": self.transaction })
            .to_string()
    }

    /// Reads a decrypted notification; `None` for a kind that we do not use.
    pub fn read(text: &str) -> Result<Option<Self>, BadAnswer> {
        let bad = |error: serde_json::Error| BadAnswer(error.to_string());
        if text.len() > MAX_TEXT {
            return Err(BadAnswer("it is too long".into()));
        }
        let raw: RawNotification = serde_json::from_str(text).map_err(bad)?;
        let Some(told) = Told::parse(&raw.notification_type) else { return Ok(None) };
        let transaction = serde_json::from_value(raw.notification).map_err(bad)?;
        Ok(Some(Self { told, transaction }))
    }
}
