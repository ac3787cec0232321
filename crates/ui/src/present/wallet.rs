//! What the Wallet screen says: balance with its source and age, payments, and what is on its way.

use domain::{IdempotencyKey, Msat};
use engine::view::{
    AccountId, AccountView, Direction, PaymentState, PaymentView, Rail, View, WalletState,
};
use serde::Serialize;
use std::sync::Arc;

use super::{
    Tone,
    approval::{self, Approval},
    job::Fact,
    npub, words,
};
use crate::clock::{Clock, duration};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WalletData {
    /// The amount, or absent while unknown.
    pub balance: Option<String>,
    /// Where the figure comes from and how old it is, or why it is unknown and what resolves it.
    pub source: String,
    pub stale: bool,
    pub state: &'static str,
    pub tone: Tone,
    pub detail: Option<String>,
    pub pending_in: String,
    pub pending_out: String,
    pub inbound: String,
    pub onchain: String,
    /// What sub-wallets have to themselves; absent where none has.
    pub set_apart: Option<String>,
    /// What is left to the operator, where something is set apart.
    pub yours: Option<String>,
    pub backend: String,
    /// What waits for the operator, newest first.
    pub waiting: Vec<Approval>,
    pub node: Option<Fact>,
    pub payments: Vec<PaymentRow>,
}

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PaymentRow {
    pub key: IdempotencyKey,
    pub direction: Direction,
    pub memo: String,
    pub state: &'static str,
    pub tone: Tone,
    pub amount: String,
    pub fee: String,
    /// The sub-wallet; empty for the operator's own.
    pub account: String,
    pub updated: String,
    pub name: String,
}

/// Older figures than this are called stale.
const STALE_MS: u64 = 60_000;

impl WalletData {
    pub fn of(view: &View, clock: &Clock) -> Self {
        let wallet = &view.wallet;
        let (state, tone) = words::wallet(wallet.state);
        let set_apart = set_apart(view);
        let age_ms = wallet.as_of.map(|at| view.at.since_ms(at));
        let stale = wallet.state != WalletState::Ready || age_ms.is_none_or(|age| age > STALE_MS);
        let source = match (wallet.balance_msat, wallet.as_of, age_ms) {
            (Some(_), Some(at), Some(age)) if stale => {
                format!("wallet, as of {} ({} old)", clock.moment(at), duration(age))
            }
            (Some(_), Some(at), _) => format!("wallet, as of {}", clock.moment(at)),
            (Some(_), None, _) => "wallet, at an unknown time".into(),
            (None, ..) => resolves(wallet.state).into(),
        };
        Self {
            balance: wallet.balance_msat.map(|balance| balance.to_string()),
            source,
            stale,
            state,
            tone,
            detail: wallet.detail.clone(),
            pending_in: words::amount_or_unknown(wallet.pending_in_msat),
            pending_out: words::amount_or_unknown(wallet.pending_out_msat),
            inbound: words::amount_or_unknown(wallet.inbound_msat),
            onchain: words::amount_or_unknown(wallet.onchain_msat),
            set_apart: set_apart.map(|apart| apart.to_string()),
            yours: wallet
                .balance_msat
                .zip(set_apart)
                .map(|(all, apart)| all.saturating_sub(apart).to_string()),
            backend: wallet.backend.as_deref().map_or_else(|| words::UNKNOWN.into(), backend),
            waiting: approval::waiting(view).map(|one| Approval::of(one, view)).collect(),
            node: wallet.node_id.as_ref().map(|id| Fact::long("Node", id)),
            payments: view
                .payments
                .iter()
                .map(|payment| PaymentRow::of(payment, view, clock))
                .collect(),
        }
    }
}

/// The money of all sub-wallets that have their own.
pub fn set_apart(view: &View) -> Option<Msat> {
    let own = view.wallet.accounts.iter().filter(|account| !account.closed);
    own.filter_map(|account| account.balance_msat).reduce(Msat::saturating_add)
}

/// A wallet program by the name that people know.
pub fn backend(word: &str) -> String {
    match word {
        "ldk" | "ldk-node" => "Lightning node".into(),
        "spark" => "Spark".into(),
        "nwc" => "Connected wallet".into(),
        "cashu" => "Cashu".into(),
        other => words::sentence(other),
    }
}

/// The sub-wallet with this id, where the view has it.
pub fn account<'a>(view: &'a View, id: &AccountId) -> Option<&'a AccountView> {
    view.wallet.accounts.iter().find(|account| account.account.id == *id)
}

/// What people call a sub-wallet; the operator's own is "Yours".
pub fn account_name(view: &View, id: &AccountId) -> String {
    if id.is_operator() {
        return "Yours".into();
    }
    match account(view, id).map(|account| words::one_line(&account.account.name)) {
        Some(name) if !name.is_empty() => name,
        _ => id.to_string(),
    }
}

fn resolves(state: WalletState) -> &'static str {
    match state {
        WalletState::Unknown => "The wallet has not answered yet.",
        WalletState::Starting => "The wallet is starting; it answers in a moment.",
        WalletState::Syncing => "The wallet is catching up with its chain.",
        WalletState::Ready => "The wallet is ready; refresh to ask again.",
        WalletState::NotReachable => "The wallet program is not running; it is being restarted.",
        WalletState::OtherWallet => {
            "Another wallet answers than yours: bring the old one back, or accept this one."
        }
    }
}

impl PaymentRow {
    pub fn of(payment: &PaymentView, view: &View, clock: &Clock) -> Self {
        let (state, tone) = words::payment(payment.direction, payment.state);
        let sign = if payment.direction == Direction::In { "+" } else { "−" };
        let memo = purpose(payment, view);
        let fee = match (payment.direction, payment.fee_msat) {
            (Direction::In, _) => String::new(),
            // Nothing was sent, so there is no fee to know.
            (Direction::Out, None) if is_unsent(payment.state) => String::new(),
            (Direction::Out, fee) => words::amount_or_unknown(fee),
        };
        let open = payment.amount_msat.is_zero() && payment.direction == Direction::In;
        let amount = match open {
            true => "any amount".into(),
            false => format!("{sign}{}", payment.amount_msat),
        };
        Self {
            name: format!("{memo}, {state}, {amount}"),
            key: payment.key.clone(),
            direction: payment.direction,
            account: match payment.account.is_operator() {
                true => String::new(),
                false => account_name(view, &payment.account),
            },
            updated: clock.moment(payment.updated_at),
            memo,
            state,
            tone,
            amount,
            fee,
        }
    }
}

fn is_unsent(state: PaymentState) -> bool {
    use PaymentState::{AwaitingApproval, Expired, Failed, Requested};
    matches!(state, AwaitingApproval | Expired | Failed | Requested)
}

/// What a payment is for: its job where it has one, else what its invoice says.
pub fn purpose(payment: &PaymentView, view: &View) -> String {
    if let Some(id) = payment.job {
        let kind = super::job::find(view, id).map(|job| words::one_line(&job.kind_name));
        return match kind {
            Some(kind) => format!("{kind} {}", id.short()),
            None => format!("Job {}", id.short()),
        };
    }
    match words::one_line(&payment.memo) {
        memo if memo.is_empty() => "No description".into(),
        memo => memo,
    }
}

/// The facts of one payment, for the inspector.
pub fn facts(payment: &PaymentView, view: &View, clock: &Clock) -> Vec<Fact> {
    let mut facts = vec![
        Fact::plain("Amount", payment.amount_msat.to_string()),
        match payment.fee_msat {
            None if is_unsent(payment.state) => Fact::plain("Fee", "none"),
            fee => Fact::plain("Fee", words::amount_or_unknown(fee)),
        },
        Fact::plain("By", words::rail_term(payment.rail)),
        Fact::plain("Sub-wallet", account_name(view, &payment.account)),
        Fact::plain("Created", clock.full(payment.created_at)),
        Fact::plain("Updated", clock.full(payment.updated_at)),
    ];
    facts.extend(payment.expires_at.map(|at| Fact::plain("Expires", clock.full(at))));
    facts.extend(payment.payee.as_ref().map(|payee| Fact::long("To", words::one_line(payee))));
    facts.extend(payment.reference.as_ref().map(|known| Fact::long("Reference", known)));
    facts.extend(payment.payment_hash.map(|hash| Fact::long("Payment hash", hash)));
    facts.extend(payment.preimage.map(|preimage| Fact::long("Preimage", preimage)));
    let request = if payment.rail == Rail::Bolt11 { "Invoice" } else { "Request" };
    facts.extend(payment.request.as_ref().map(|text| Fact::long(request, text)));
    let memo = words::one_line(&payment.memo);
    if !memo.is_empty() {
        facts.push(Fact {
            label: "Description",
            shown: words::middle(&memo, 22, 8),
            copy: Some(memo),
        });
    }
    facts.push(Fact::long("Key", &payment.key));
    facts
}

/// The payment with this key, where the view holds it.
pub fn find<'a>(view: &'a View, key: &IdempotencyKey) -> Option<&'a Arc<PaymentView>> {
    view.payments.iter().find(|payment| payment.key == *key)
}

/// The facts of this machine's identity.
pub fn identity(view: &View) -> Vec<Fact> {
    let Some(identity) = &view.identity else { return Vec::new() };
    vec![
        Fact {
            label: "Npub",
            shown: words::middle(&identity.npub, 12, 8),
            copy: Some(identity.npub.clone()),
        },
        Fact::long("Hex", identity.pubkey),
        Fact::plain("Kept in", kept_in(&identity.kept_in)),
        Fact::plain("Written down", if identity.backed_up { "yes" } else { "not yet" }),
    ]
}

fn kept_in(word: &str) -> String {
    match word {
        "keychain" => "the system keychain".into(),
        "file" | "file_with_passphrase" => "an encrypted file".into(),
        "file_with_passphrase_beside" => "a file, its passphrase beside it".into(),
        other => words::sentence(other),
    }
}

/// `npub1abcd…wxyz` of this machine, or that it has none.
pub fn identity_short(view: &View) -> String {
    view.identity.as_ref().map_or_else(|| "No identity".into(), |id| npub::short(&id.pubkey))
}

/// What the operator calls this machine, where it has a name.
pub fn machine_name(view: &View) -> Option<String> {
    view.identity.as_ref()?.name.as_deref().map(words::one_line)
}
