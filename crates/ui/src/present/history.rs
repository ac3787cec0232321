//! Which payments of the history are shown: by state, direction, sub-wallet and text.

use engine::view::{AccountId, Direction, PaymentState, PaymentView};

/// The states that people look for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    #[default]
    Any,
    /// Waits for the operator.
    You,
    UnderWay,
    Done,
    Failed,
    Unknown,
}

impl Standing {
    pub const ALL: [Self; 6] =
        [Self::Any, Self::You, Self::UnderWay, Self::Done, Self::Failed, Self::Unknown];

    pub fn words(self) -> &'static str {
        match self {
            Self::Any => "Any state",
            Self::You => "Waiting for you",
            Self::UnderWay => "Under way",
            Self::Done => "Paid or received",
            Self::Failed => "Failed or expired",
            Self::Unknown => "Outcome unknown",
        }
    }

    fn lets(self, state: PaymentState) -> bool {
        match self {
            Self::Any => true,
            Self::You => state == PaymentState::AwaitingApproval,
            Self::UnderWay => matches!(state, PaymentState::Requested | PaymentState::Pending),
            Self::Done => state == PaymentState::Settled,
            Self::Failed => matches!(state, PaymentState::Failed | PaymentState::Expired),
            Self::Unknown => state == PaymentState::Unknown,
        }
    }
}

/// What the history is filtered by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    pub text: String,
    pub standing: Standing,
    pub direction: Option<Direction>,
    pub account: Option<AccountId>,
}

impl Filter {
    pub fn is_empty(&self) -> bool {
        *self == Self { text: self.text.trim().to_owned(), ..Self::default() }
            && self.text.trim().is_empty()
    }

    /// Whether `payment` is shown.
    pub fn lets(&self, payment: &PaymentView) -> bool {
        self.standing.lets(payment.state)
            && self.direction.is_none_or(|way| way == payment.direction)
            && self.account.as_ref().is_none_or(|account| *account == payment.account)
            && self.has_text(payment)
    }

    fn has_text(&self, payment: &PaymentView) -> bool {
        let wanted = self.text.trim().to_lowercase();
        if wanted.is_empty() {
            return true;
        }
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        let optional = [&payment.payee, &payment.reference, &payment.request, &payment.detail];
        has(&payment.memo)
            || has(payment.key.as_str())
            || has(payment.account.as_str())
            || optional.into_iter().flatten().any(|text| has(text))
            || payment.payment_hash.is_some_and(|hash| has(&hash.to_string()))
            || payment.job.is_some_and(|job| has(&job.to_string()))
            || has(&payment.amount_msat.to_string())
    }
}
