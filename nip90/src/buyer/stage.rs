//! Where a bought job stands, and where its money stands: two machines, joined per purchase.

use serde::{Deserialize, Serialize};

/// The work we asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reserved and recorded; no relay has the request yet.
    Submitted,
    /// A relay has it.
    Asked,
    /// The named provider says that it works.
    Working,
    /// The result is a blob that is being fetched.
    Fetching,
    /// The result is being checked.
    Checking,
    /// It is what was asked for; only money may be missing.
    Verified,
    Done,
    Failed,
    Cancelled,
    /// The provider stayed silent.
    TimedOut,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageStep {
    Publish,
    Work,
    Fetch,
    Check,
    Verify,
    /// The result of an open request is not what was asked for, and nothing was paid: others may
    /// still answer.
    Reopen,
    Finish,
    Fail,
    Cancel,
    TimeOut,
}

impl Stage {
    pub const ALL: [Self; 10] = [
        Self::Submitted,
        Self::Asked,
        Self::Working,
        Self::Fetching,
        Self::Checking,
        Self::Verified,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
    ];

    /// The state after `step`, where the step is legal. Answers may come before a relay has
    /// acknowledged the request: then it plainly was published.
    pub const fn after(self, step: StageStep) -> Option<Self> {
        use StageStep as Step;
        Some(match (self, step) {
            (Self::Submitted, Step::Publish) => Self::Asked,
            (Self::Submitted | Self::Asked, Step::Work) => Self::Working,
            (Self::Submitted | Self::Asked | Self::Working, Step::Fetch) => Self::Fetching,
            (Self::Submitted | Self::Asked | Self::Working | Self::Fetching, Step::Check) => {
                Self::Checking
            }
            (Self::Checking, Step::Verify) => Self::Verified,
            (Self::Fetching | Self::Checking | Self::Verified, Step::Reopen) => Self::Asked,
            (Self::Verified, Step::Finish) => Self::Done,
            (Self::Submitted | Self::Asked | Self::Working, Step::Cancel) => Self::Cancelled,
            (Self::Submitted | Self::Asked | Self::Working, Step::TimeOut) => Self::TimedOut,
            (state, Step::Fail) if !state.is_over() => Self::Failed,
            _ => return None,
        })
    }

    /// Whether no result has come yet.
    pub const fn waits_for_result(self) -> bool {
        matches!(self, Self::Submitted | Self::Asked | Self::Working)
    }

    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled | Self::TimedOut)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Asked => "asked",
            Self::Working => "working",
            Self::Fetching => "fetching",
            Self::Checking => "checking",
            Self::Verified => "verified",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }
}

/// The money we set aside for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spending {
    /// Held back, not sent.
    Reserved,
    /// The wallet was asked to pay.
    Paying,
    /// It may have moved; the wallet looks it up by payment hash.
    Unknown,
    /// Settled: the preimage proves it. What was not spent is free again.
    Paid,
    /// All of it is free again. Should the wallet find that it moved after all, it is paid.
    Released,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendingStep {
    Pay,
    Lose,
    Settle,
    Release,
}

impl Spending {
    pub const ALL: [Self; 5] =
        [Self::Reserved, Self::Paying, Self::Unknown, Self::Paid, Self::Released];

    /// The state after `step`, where the step is legal: money in flight is never released before
    /// the wallet says what became of it.
    pub const fn after(self, step: SpendingStep) -> Option<Self> {
        use SpendingStep as Step;
        Some(match (self, step) {
            (Self::Reserved, Step::Pay) => Self::Paying,
            (Self::Paying, Step::Lose) => Self::Unknown,
            // Also where the wallet had said that it failed: money that moved is always counted.
            (Self::Paying | Self::Unknown | Self::Released, Step::Settle) => Self::Paid,
            (Self::Reserved | Self::Paying | Self::Unknown, Step::Release) => Self::Released,
            _ => return None,
        })
    }

    /// Whether money may be moving.
    pub const fn in_flight(self) -> bool {
        matches!(self, Self::Paying | Self::Unknown)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Paying => "paying",
            Self::Unknown => "unknown",
            Self::Paid => "paid",
            Self::Released => "released",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_transition_is_in_the_table_and_no_other() {
        use Stage as S;
        use StageStep as T;
        let mut legal = vec![
            (S::Submitted, T::Publish, S::Asked),
            (S::Submitted, T::Work, S::Working),
            (S::Asked, T::Work, S::Working),
            (S::Fetching, T::Check, S::Checking),
            (S::Checking, T::Verify, S::Verified),
            (S::Verified, T::Finish, S::Done),
            (S::Fetching, T::Reopen, S::Asked),
            (S::Checking, T::Reopen, S::Asked),
            (S::Verified, T::Reopen, S::Asked),
        ];
        for from in [S::Submitted, S::Asked, S::Working] {
            legal.extend([
                (from, T::Fetch, S::Fetching),
                (from, T::Check, S::Checking),
                (from, T::Cancel, S::Cancelled),
                (from, T::TimeOut, S::TimedOut),
            ]);
        }
        let open = [S::Submitted, S::Asked, S::Working, S::Fetching, S::Checking, S::Verified];
        legal.extend(open.map(|from| (from, T::Fail, S::Failed)));
        let steps = [
            T::Publish,
            T::Work,
            T::Fetch,
            T::Check,
            T::Verify,
            T::Reopen,
            T::Finish,
            T::Fail,
            T::Cancel,
            T::TimeOut,
        ];
        for state in S::ALL {
            for step in steps {
                let expected = legal.iter().find(|l| (l.0, l.1) == (state, step)).map(|l| l.2);
                assert_eq!(state.after(step), expected, "{state:?} {step:?}");
                assert!(!state.is_over() || state.after(step).is_none(), "{state:?} is an end");
            }
        }
    }

    #[test]
    fn every_spending_transition_is_in_the_table_and_no_other() {
        use Spending as S;
        use SpendingStep as T;
        let legal = [
            (S::Reserved, T::Pay, S::Paying),
            (S::Reserved, T::Release, S::Released),
            (S::Paying, T::Lose, S::Unknown),
            (S::Paying, T::Settle, S::Paid),
            (S::Paying, T::Release, S::Released),
            (S::Unknown, T::Settle, S::Paid),
            (S::Released, T::Settle, S::Paid),
            (S::Unknown, T::Release, S::Released),
        ];
        for state in S::ALL {
            for step in [T::Pay, T::Lose, T::Settle, T::Release] {
                let expected = legal.iter().find(|l| (l.0, l.1) == (state, step)).map(|l| l.2);
                assert_eq!(state.after(step), expected, "{state:?} {step:?}");
            }
        }
    }
}
