//! The payment of a sold job: one invoice, credited once, never swallowed.

use serde::{Deserialize, Serialize};

/// Where the money stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payment {
    /// Nothing is asked: not accepted, or free.
    None,
    /// A price stands; no invoice yet.
    Quoted,
    /// The buyer can pay.
    Invoiced,
    /// Settled in our wallet, by this job's payment hash.
    Paid,
    /// The job ended before it was paid.
    Expired,
    /// Delivered, and the invoice ran out.
    Unpaid,
    /// We hold money for a job that did not, or could not, deliver.
    RefundDue,
    Refunded,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentStep {
    Quote,
    Invoice,
    Pay,
    /// The job ends unpaid.
    Close,
    /// The invoice of a delivered job ran out.
    GiveUp,
    OweRefund,
    Refund,
}

impl Payment {
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Quoted,
        Self::Invoiced,
        Self::Paid,
        Self::Expired,
        Self::Unpaid,
        Self::RefundDue,
        Self::Refunded,
    ];

    /// The state after `step`, where the step is legal.
    pub const fn after(self, step: PaymentStep) -> Option<Self> {
        use PaymentStep as Step;
        Some(match (self, step) {
            (Self::None, Step::Quote) => Self::Quoted,
            (Self::Quoted, Step::Invoice) => Self::Invoiced,
            (Self::Invoiced | Self::Unpaid, Step::Pay) => Self::Paid,
            (Self::Quoted | Self::Invoiced, Step::Close) => Self::Expired,
            (Self::Invoiced, Step::GiveUp) => Self::Unpaid,
            (Self::Paid | Self::Expired, Step::OweRefund) => Self::RefundDue,
            (Self::RefundDue, Step::Refund) => Self::Refunded,
            _ => return None,
        })
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quoted => "quoted",
            Self::Invoiced => "invoiced",
            Self::Paid => "paid",
            Self::Expired => "expired",
            Self::Unpaid => "unpaid",
            Self::RefundDue => "refund_due",
            Self::Refunded => "refunded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Payment as P, PaymentStep as S};

    #[test]
    fn every_transition_is_in_the_table_and_no_other() {
        let legal = [
            (P::None, S::Quote, P::Quoted),
            (P::Quoted, S::Invoice, P::Invoiced),
            (P::Quoted, S::Close, P::Expired),
            (P::Invoiced, S::Pay, P::Paid),
            (P::Invoiced, S::Close, P::Expired),
            (P::Invoiced, S::GiveUp, P::Unpaid),
            (P::Unpaid, S::Pay, P::Paid),
            (P::Paid, S::OweRefund, P::RefundDue),
            (P::Expired, S::OweRefund, P::RefundDue),
            (P::RefundDue, S::Refund, P::Refunded),
        ];
        let steps = [S::Quote, S::Invoice, S::Pay, S::Close, S::GiveUp, S::OweRefund, S::Refund];
        for state in P::ALL {
            for step in steps {
                let expected =
                    legal.iter().find(|(from, by, _)| (*from, *by) == (state, step)).map(|l| l.2);
                assert_eq!(state.after(step), expected, "{state:?} {step:?}");
            }
        }
    }
}
