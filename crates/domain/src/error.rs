//! What an error tells people and programs: code, message, hint, whether to try again; exit codes.

use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// An error at a process boundary: `{"error":{"code","message","hint","retryable"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Stable, snake case: `over_limit`, `not_reachable`, …
    pub code: Cow<'static, str>,
    /// What happened, and what is safe.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(default)]
    pub retryable: bool,
    #[serde(default, skip_serializing_if = "ExitCode::is_failed")]
    pub exit: ExitCode,
}

/// Exit codes of every command of the house.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCode {
    Done = 0,
    #[default]
    Failed = 1,
    Usage = 2,
    /// By policy or limit.
    Refused = 3,
    NotReachable = 4,
    TimedOut = 5,
    /// Money may have moved: reconcile, never resend.
    OutcomeUnknown = 6,
}

impl ExitCode {
    fn is_failed(&self) -> bool {
        *self == Self::Failed
    }
}

impl ErrorBody {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            hint: None,
            retryable: false,
            exit: ExitCode::Failed,
        }
    }

    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: ExitCode::Refused, ..Self::new(code, message) }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    #[must_use]
    pub fn exit(mut self, exit: ExitCode) -> Self {
        self.exit = exit;
        self
    }
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ErrorBody {}
