//! The execution of a sold job: from the request to exactly one end.

use serde::{Deserialize, Serialize};

/// Where the work stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// Seen and recorded; not promised.
    Received,
    /// Promised; waits for payment or for a free place.
    Accepted,
    Running,
    /// The result is there; it waits for its invoice or for a relay to take it.
    Executed,
    /// A relay has the result.
    Delivered,
    Failed,
    Cancelled,
    Refused,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionStep {
    Accept,
    Refuse,
    /// Also a second start, after a crash hid the outcome of the first.
    Start,
    Finish,
    Deliver,
    Fail,
    Cancel,
}

impl Execution {
    pub const ALL: [Self; 8] = [
        Self::Received,
        Self::Accepted,
        Self::Running,
        Self::Executed,
        Self::Delivered,
        Self::Failed,
        Self::Cancelled,
        Self::Refused,
    ];

    /// The state after `step`, where the step is legal.
    pub const fn after(self, step: ExecutionStep) -> Option<Self> {
        use ExecutionStep as Step;
        Some(match (self, step) {
            (Self::Received, Step::Accept) => Self::Accepted,
            (Self::Received, Step::Refuse) => Self::Refused,
            (Self::Accepted | Self::Running, Step::Start) => Self::Running,
            (Self::Running, Step::Finish) => Self::Executed,
            (Self::Executed, Step::Deliver) => Self::Delivered,
            (Self::Accepted | Self::Running | Self::Executed, Step::Fail) => Self::Failed,
            (Self::Received | Self::Accepted | Self::Running | Self::Executed, Step::Cancel) => {
                Self::Cancelled
            }
            _ => return None,
        })
    }

    /// Whether nothing can happen to it any more.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Delivered | Self::Failed | Self::Cancelled | Self::Refused)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Executed => "executed",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Execution as E, ExecutionStep as S};

    #[test]
    fn every_transition_is_in_the_table_and_no_other() {
        let legal = [
            (E::Received, S::Accept, E::Accepted),
            (E::Received, S::Refuse, E::Refused),
            (E::Received, S::Cancel, E::Cancelled),
            (E::Accepted, S::Start, E::Running),
            (E::Accepted, S::Fail, E::Failed),
            (E::Accepted, S::Cancel, E::Cancelled),
            (E::Running, S::Start, E::Running),
            (E::Running, S::Finish, E::Executed),
            (E::Running, S::Fail, E::Failed),
            (E::Running, S::Cancel, E::Cancelled),
            (E::Executed, S::Deliver, E::Delivered),
            (E::Executed, S::Fail, E::Failed),
            (E::Executed, S::Cancel, E::Cancelled),
        ];
        for state in E::ALL {
            for step in [S::Accept, S::Refuse, S::Start, S::Finish, S::Deliver, S::Fail, S::Cancel]
            {
                let expected =
                    legal.iter().find(|(from, by, _)| (*from, *by) == (state, step)).map(|l| l.2);
                assert_eq!(state.after(step), expected, "{state:?} {step:?}");
                assert!(!state.is_over() || state.after(step).is_none(), "{state:?} is an end");
            }
        }
    }
}
