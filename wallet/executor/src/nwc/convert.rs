//! Between the wallet's words and those of NIP-47, both ways.

use domain::{ErrorBody, Msat, Network, PaymentHash, Timestamp};
use wallet::{
    Found,
    bolt11::Bolt11Request,
    wire::{Direction, Payment, PaymentState},
};

use super::words::{
    Answer, BadAnswer, Code, Flow, Method, Paid, Refusal, Standing, Transaction, tamed,
};

/// Longest text of an error that is sent to an app.
const MAX_MESSAGE: usize = 500;

/// The network as NIP-47 names it. Practice is a regtest network.
pub const fn network(network: Network) -> &'static str {
    match network {
        Network::Practice | Network::Regtest => "regtest",
        Network::Signet => "signet",
        Network::Mainnet => "mainnet",
    }
}

// ---- from another wallet ----

/// What another wallet says became of the payment of `hash`. A preimage that does not fit proves
/// nothing: of a payment out nothing is known then.
pub fn found(
    said: &Transaction,
    hash: PaymentHash,
    direction: Direction,
) -> Result<Found, BadAnswer> {
    if said.payment_hash.is_some_and(|other| other != hash) {
        return Err(BadAnswer("it is of another payment".into()));
    }
    if (said.flow == Flow::Outgoing) != (direction == Direction::Out) {
        return Err(BadAnswer("it is of the other direction".into()));
    }
    let fits = |preimage: &domain::Preimage| preimage.payment_hash() == hash;
    let preimage = said.preimage.filter(fits);
    if direction == Direction::Out && said.preimage.is_some() && preimage.is_none() {
        return Ok(Found::InFlight);
    }
    Ok(match said.state {
        _ if said.is_settled() => Found::Settled {
            amount_msat: said.amount,
            fee_msat: said.fees_paid,
            preimage,
            payment_hash: Some(hash),
            reference: None,
        },
        Some(Standing::Failed | Standing::Expired) => {
            Found::Failed { reason: "The wallet says that it failed.".into() }
        }
        _ => Found::InFlight,
    })
}

/// An invoice that another wallet made for us: what it itself says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeInvoice {
    pub text: String,
    pub payment_hash: PaymentHash,
    pub expires_at: Timestamp,
}

/// Reads the invoice, and holds it against what was asked for.
pub fn made(said: &Transaction, amount: Msat, network: Network) -> Result<MadeInvoice, BadAnswer> {
    let text = said.invoice.as_deref().ok_or_else(|| BadAnswer("it names no invoice".into()))?;
    let invoice =
        Bolt11Request::read(text, network).map_err(|error| BadAnswer(error.to_string()))?;
    if invoice.amount_msat != Some(amount) {
        return Err(BadAnswer("its invoice asks for another amount".into()));
    }
    if said.payment_hash.is_some_and(|named| named != invoice.payment_hash) {
        return Err(BadAnswer("its invoice has another payment hash than it names".into()));
    }
    let Bolt11Request { text, payment_hash, expires_at, .. } = invoice;
    Ok(MadeInvoice { text, payment_hash, expires_at })
}

// ---- to an app ----

/// A payment as an app sees it.
pub fn transaction(payment: &Payment) -> Transaction {
    let state = match payment.state {
        PaymentState::Requested
        | PaymentState::Pending
        | PaymentState::Unknown
        | PaymentState::AwaitingApproval => Standing::Pending,
        PaymentState::Settled => Standing::Settled,
        PaymentState::Failed => Standing::Failed,
        PaymentState::Expired => Standing::Expired,
    };
    let is_settled = state == Standing::Settled;
    Transaction {
        flow: match payment.direction {
            Direction::In => Flow::Incoming,
            Direction::Out => Flow::Outgoing,
        },
        state: Some(state),
        invoice: payment.request.clone(),
        description: (!payment.memo.is_empty()).then(|| payment.memo.clone()),
        preimage: payment.preimage.filter(|_| is_settled),
        payment_hash: payment.payment_hash,
        amount: payment.amount_msat,
        fees_paid: payment.fee_msat.unwrap_or(Msat::ZERO),
        created_at: payment.created_at.as_secs(),
        expires_at: payment.expires_at.map(Timestamp::as_secs),
        settled_at: is_settled.then(|| payment.updated_at.as_secs()),
    }
}

/// The answer to who asked for a payment, once it is over; nothing before that. An error here means
/// that no money moved and none will.
pub fn outcome(method: Method, payment: &Payment) -> Option<Answer> {
    let why = |fallback: &str| payment.detail.clone().unwrap_or_else(|| fallback.into());
    match (payment.state, payment.preimage) {
        (PaymentState::Settled, Some(preimage)) => {
            let fees_paid = payment.fee_msat.unwrap_or(Msat::ZERO);
            Some(Answer::ok(method, &Paid { preimage, fees_paid }))
        }
        // Paid by a backend that gives no proof: said as it is, since an error would be read as
        // "not paid" and a made-up proof is none.
        (PaymentState::Settled, None) => {
            let paid = serde_json::json!({ "preimage": "", "fees_paid": payment.fee_msat });
            Some(Answer::ok(method, &paid))
        }
        (PaymentState::Failed, _) => {
            Some(refused(method, Code::PaymentFailed, &why("The payment failed.")))
        }
        (PaymentState::Expired, _) => {
            Some(refused(method, Code::PaymentFailed, &why("The payment's time was over.")))
        }
        _ => None,
    }
}

fn refused(method: Method, code: Code, message: &str) -> Answer {
    Answer::refused(method.as_str(), Refusal::new(code, tamed(message)))
}

/// Why the machine refused, as NIP-47 says it. In every case nothing was sent.
pub fn refusal(error: &ErrorBody) -> Refusal {
    let code = match &*error.code {
        "over_limit" | "over_budget" | "needs_approval" => Code::QuotaExceeded,
        code if code.starts_with("over_") => Code::QuotaExceeded,
        "insufficient_balance" => Code::InsufficientBalance,
        "not_allowed" => Code::Restricted,
        "account_closed" | "account_expired" | "no_such_account" => Code::Unauthorized,
        "no_such_payment" => Code::NotFound,
        "busy" | "starting" | "internal" | "timed_out" | "balance_unknown" | "no_invoice" => {
            Code::Internal
        }
        "already_paid" | "own_invoice" | "invoice_expired" => Code::PaymentFailed,
        _ => Code::Other,
    };
    let mut message = error.message.clone();
    if let Some(hint) = &error.hint {
        message.push(' ');
        message.push_str(hint);
    }
    Refusal::new(code, tamed(&message).chars().take(MAX_MESSAGE).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{IdempotencyKey, Preimage};
    use proptest::prelude::*;
    use wallet::wire::Rail;

    fn said(flow: Flow, preimage: Option<Preimage>, state: Option<Standing>) -> Transaction {
        Transaction {
            flow,
            state,
            invoice: None,
            description: None,
            preimage,
            payment_hash: Some(Preimage([1; 32]).payment_hash()),
            amount: Msat::from_sat(5),
            fees_paid: Msat::from_sat(1),
            created_at: 1,
            expires_at: None,
            settled_at: None,
        }
    }

    #[test]
    fn a_payment_out_counts_by_its_exact_hash_and_proof() {
        let (right, wrong) = (Preimage([1; 32]), Preimage([2; 32]));
        let hash = right.payment_hash();
        let out =
            |preimage, state| found(&said(Flow::Outgoing, preimage, state), hash, Direction::Out);
        let settled = Some(Standing::Settled);
        assert!(matches!(out(Some(right), settled), Ok(Found::Settled { preimage: Some(_), .. })));
        assert_eq!(out(Some(wrong), settled), Ok(Found::InFlight));
        assert_eq!(out(None, Some(Standing::Pending)), Ok(Found::InFlight));
        assert_eq!(out(None, None), Ok(Found::InFlight));
        assert!(matches!(out(None, Some(Standing::Failed)), Ok(Found::Failed { .. })));
        let other = wrong.payment_hash();
        assert!(found(&said(Flow::Outgoing, None, settled), other, Direction::Out).is_err());
        assert!(found(&said(Flow::Incoming, None, settled), hash, Direction::Out).is_err());
    }

    fn payment(state: PaymentState, preimage: Option<Preimage>) -> Payment {
        Payment {
            key: IdempotencyKey::new("nwc/1").unwrap(),
            account: wallet::wire::AccountId::operator(),
            direction: Direction::Out,
            rail: Rail::Bolt11,
            state,
            amount_msat: Msat::from_sat(5),
            fee_msat: Some(Msat::from_sat(1)),
            payment_hash: None,
            reference: None,
            preimage,
            request: Some("lnbc1".into()),
            payee: None,
            memo: String::new(),
            created_at: Timestamp::from_secs(7),
            updated_at: Timestamp::from_secs(8),
            expires_at: None,
            detail: None,
            waits_for: None,
        }
    }

    #[test]
    fn an_answer_is_given_only_when_the_outcome_is_known() {
        use PaymentState as State;
        for state in [State::Requested, State::Pending, State::Unknown, State::AwaitingApproval] {
            assert_eq!(outcome(Method::PayInvoice, &payment(state, None)), None, "{state:?}");
            assert_eq!(transaction(&payment(state, None)).state, Some(Standing::Pending));
        }
        let settled = payment(State::Settled, Some(Preimage([1; 32])));
        let paid = outcome(Method::PayInvoice, &settled).unwrap().result::<Paid>();
        assert_eq!(paid.unwrap().unwrap().fees_paid, Msat::from_sat(1));
        assert_eq!(transaction(&settled).settled_at, Some(8));
        let failed = outcome(Method::PayInvoice, &payment(State::Failed, None)).unwrap();
        assert_eq!(failed.outcome.unwrap_err().code, Code::PaymentFailed);
    }

    #[test]
    fn refusals_have_the_names_of_the_nip() {
        for (code, expected) in [
            ("over_limit", Code::QuotaExceeded),
            ("over_budget", Code::QuotaExceeded),
            ("insufficient_balance", Code::InsufficientBalance),
            ("not_allowed", Code::Restricted),
            ("account_closed", Code::Unauthorized),
            ("busy", Code::Internal),
            ("bad_invoice", Code::Other),
        ] {
            assert_eq!(refusal(&ErrorBody::refused(code, "x")).code, expected, "{code}");
        }
    }

    proptest! {
        #[test]
        fn what_is_not_of_this_payment_never_settles_it(
            named in prop::array::uniform32(any::<u8>()),
            preimage in prop::option::of(prop::array::uniform32(any::<u8>())),
            incoming in any::<bool>(),
            settled_at in prop::option::of(any::<u64>()),
        ) {
            let hash = Preimage([1; 32]).payment_hash();
            let flow = if incoming { Flow::Incoming } else { Flow::Outgoing };
            let mut said = said(flow, preimage.map(Preimage), None);
            said.payment_hash = Some(PaymentHash(named));
            said.settled_at = settled_at;
            for direction in [Direction::In, Direction::Out] {
                let found = found(&said, hash, direction);
                let settles = matches!(found, Ok(Found::Settled { .. }));
                prop_assert!(!settles);
            }
        }
    }
}
