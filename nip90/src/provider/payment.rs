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
    /// The wallet was asked to pay the buyer's invoice.
    Refunding,
    /// The refund may have moved; the wallet looks it up by payment hash.
    RefundUnknown,
    /// Settled: the preimage of the buyer's invoice proves it.
    Refunded,
    /// The operator says that the money went back another way. Nothing here proves it.
    HandedBack,
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
    SendRefund,
    LoseRefund,
    /// The wallet is sure that no money moved.
    FailRefund,
    Refund,
    HandBack,
}

impl Payment {
    pub const ALL: [Self; 11] = [
        Self::None,
        Self::Quoted,
        Self::Invoiced,
        Self::Paid,
        Self::Expired,
        Self::Unpaid,
        Self::RefundDue,
        Self::Refunding,
        Self::RefundUnknown,
        Self::Refunded,
        Self::HandedBack,
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
            (Self::RefundDue, Step::SendRefund) => Self::Refunding,
            (Self::Refunding, Step::LoseRefund) => Self::RefundUnknown,
            (Self::Refunding | Self::RefundUnknown, Step::FailRefund) => Self::RefundDue,
            // Also where the wallet had said that it failed, and where it went back otherwise since:
            // money that moved is always shown, and never owed again.
            (
                Self::RefundDue
                | Self::Refunding
                | Self::RefundUnknown
                | Self::Refunded
                | Self::HandedBack,
                Step::Refund,
            ) => Self::Refunded,
            (Self::RefundDue, Step::HandBack) => Self::HandedBack,
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
            Self::Refunding => "refunding",
            Self::RefundUnknown => "refund_unknown",
            Self::Refunded => "refunded",
            Self::HandedBack => "handed_back",
        }
    }

    /// Whether a refund is under way, or may be.
    pub const fn refund_in_flight(self) -> bool {
        matches!(self, Self::Refunding | Self::RefundUnknown)
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
            (P::RefundDue, S::SendRefund, P::Refunding),
            (P::Refunding, S::LoseRefund, P::RefundUnknown),
            (P::Refunding, S::FailRefund, P::RefundDue),
            (P::RefundUnknown, S::FailRefund, P::RefundDue),
            (P::RefundDue, S::Refund, P::Refunded),
            (P::Refunding, S::Refund, P::Refunded),
            (P::RefundUnknown, S::Refund, P::Refunded),
            (P::Refunded, S::Refund, P::Refunded),
            (P::HandedBack, S::Refund, P::Refunded),
            (P::RefundDue, S::HandBack, P::HandedBack),
        ];
        let steps = [
            S::Quote,
            S::Invoice,
            S::Pay,
            S::Close,
            S::GiveUp,
            S::OweRefund,
            S::SendRefund,
            S::LoseRefund,
            S::FailRefund,
            S::Refund,
            S::HandBack,
        ];
        for state in P::ALL {
            for step in steps {
                let expected =
                    legal.iter().find(|(from, by, _)| (*from, *by) == (state, step)).map(|l| l.2);
                assert_eq!(state.after(step), expected, "{state:?} {step:?}");
            }
        }
    }
}
