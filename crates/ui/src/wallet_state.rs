//! What the Wallet screen remembers: which part is shown, and what is typed into its forms.

use domain::{ErrorBody, IdempotencyKey};
use engine::{
    Renewal,
    backup::RehearsalReport,
    channels::ChannelQuote,
    view::{AccountId, Rail},
    wire::{Account, AccountKind, LnurlProof, OnLimit, Quote, QuoteQuery},
};
use zeroize::Zeroize;

use crate::{export::Format, present::history::Filter};

/// The parts of the Wallet below the balance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WalletTab {
    #[default]
    Payments,
    Accounts,
    Limits,
    Channels,
    Connections,
    Backup,
}

impl WalletTab {
    pub const ALL: [Self; 6] = [
        Self::Payments,
        Self::Accounts,
        Self::Limits,
        Self::Channels,
        Self::Connections,
        Self::Backup,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::Payments => "Payments",
            Self::Accounts => "Sub-wallets",
            Self::Limits => "Limits",
            Self::Channels => "Channels",
            Self::Connections => "Connections",
            Self::Backup => "Backup",
        }
    }
}

/// What stands between the balance and the parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WalletPanel {
    #[default]
    Closed,
    Receive,
    Pay,
}

#[derive(Debug, Default)]
pub struct WalletScreen {
    pub panel: WalletPanel,
    pub tab: WalletTab,
    pub receive: ReceiveForm,
    pub pay: PayForm,
    pub filter: Filter,
    pub focus_filter: bool,
    pub account: Option<AccountForm>,
    pub moving: Option<MoveForm>,
    /// The sub-wallet whose closing waits for a second click.
    pub confirm_close: Option<AccountId>,
    pub limits: Option<LimitsForm>,
    pub channel: Option<ChannelForm>,
    /// The channel whose closing waits for a second click.
    pub closing: Option<CloseForm>,
    pub connection: Option<ConnectionForm>,
    /// What an app is given, shown once.
    pub shared: Option<Shared>,
    /// What the last rehearsal found.
    pub rehearsal: Option<RehearsalReport>,
    /// What a file is to be written of, while its place is chosen.
    pub exporting: Option<Format>,
}

impl WalletScreen {
    /// Closes the form that is open; answers whether one was.
    pub fn close_form(&mut self) -> bool {
        let account = self.account.take().is_some();
        let moving = self.moving.take().is_some();
        let channel = self.channel.take().is_some() | self.closing.take().is_some();
        let connection = self.connection.take().is_some() | self.shared.take().is_some();
        self.limits.take().is_some() || account || moving || channel || connection
    }
}

/// For how long something can be paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    TenMinutes,
    #[default]
    Hour,
    Day,
    Week,
}

impl Expiry {
    pub const ALL: [Self; 4] = [Self::TenMinutes, Self::Hour, Self::Day, Self::Week];

    pub fn words(self) -> &'static str {
        match self {
            Self::TenMinutes => "10 min",
            Self::Hour => "1 hour",
            Self::Day => "1 day",
            Self::Week => "1 week",
        }
    }

    pub fn secs(self) -> u32 {
        match self {
            Self::TenMinutes => 600,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
        }
    }
}

#[derive(Debug, Default)]
pub struct ReceiveForm {
    pub rail: Rail,
    pub account: AccountId,
    pub amount: String,
    pub memo: String,
    pub expiry: Expiry,
    pub tried: bool,
    /// Kept until something is changed: sent again, it is the same payment.
    pub key: Option<IdempotencyKey>,
    /// The payment that was started; what it is paid by is shown.
    pub started: Option<IdempotencyKey>,
}

/// What a text asks, by the wallet's reading of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    pub quote: Quote,
    /// What an LNURL server said, where one was asked: the wallet checks it again.
    pub lnurl: Option<LnurlProof>,
}

#[derive(Debug, Default)]
pub struct PayForm {
    pub text: String,
    pub account: AccountId,
    pub amount: String,
    /// The text names no amount.
    pub needs_amount: bool,
    pub max_fee: String,
    /// What the newest reading is of, or will be.
    pub asked: Option<QuoteQuery>,
    pub read: Option<Result<Read, ErrorBody>>,
    /// Why the image that was pasted gave no text.
    pub scan_fault: Option<String>,
    pub focus_text: bool,
    /// The operator has seen the sum and is asked once more.
    pub confirming: bool,
    pub key: Option<IdempotencyKey>,
    pub started: Option<IdempotencyKey>,
}

/// The terms of a sub-wallet, as they are typed.
#[derive(Debug)]
pub struct AccountForm {
    /// Absent for a new one.
    pub id: Option<AccountId>,
    pub name: String,
    pub kind: AccountKind,
    pub isolated: bool,
    pub budget: String,
    pub renews: Renewal,
    pub per_payment: String,
    pub allow: String,
    pub on_limit: OnLimit,
    /// The terms in force, of which what is not typed here stays.
    pub before: Option<Account>,
    pub tried: bool,
    pub opened: bool,
}

impl AccountForm {
    pub fn new() -> Self {
        Self {
            id: None,
            name: String::new(),
            kind: AccountKind::Agent,
            isolated: false,
            budget: String::new(),
            renews: Renewal::Daily,
            per_payment: String::new(),
            allow: String::new(),
            on_limit: OnLimit::Ask,
            before: None,
            tried: false,
            opened: false,
        }
    }

    /// The terms in force, to be changed.
    pub fn of(account: &Account) -> Self {
        let amount = crate::present::words::edit_sat;
        Self {
            id: Some(account.id.clone()),
            name: account.name.clone(),
            kind: account.kind,
            isolated: account.isolated,
            budget: account.budget.map(|budget| amount(budget.amount_msat)).unwrap_or_default(),
            renews: account.budget.map_or(Renewal::Daily, |budget| budget.renews),
            per_payment: account.per_payment_msat.map(amount).unwrap_or_default(),
            allow: account.allow.join("\n"),
            on_limit: account.on_limit,
            before: Some(account.clone()),
            tried: false,
            opened: false,
        }
    }
}

/// A channel to be opened.
#[derive(Debug, Default)]
pub struct ChannelForm {
    pub peer: String,
    pub amount: String,
    pub tried: bool,
    pub opened: bool,
    /// What it would cost, of what is typed now.
    pub quote: Option<ChannelQuote>,
    pub key: Option<IdempotencyKey>,
}

/// A channel to be closed.
#[derive(Debug, Default)]
pub struct CloseForm {
    pub channel: String,
    pub force: bool,
    /// The words that force wants.
    pub words: String,
}

/// An app to be connected.
#[derive(Debug)]
pub struct ConnectionForm {
    pub name: String,
    pub isolated: bool,
    pub budget: String,
    pub renews: Renewal,
    pub on_limit: OnLimit,
    pub tried: bool,
    pub opened: bool,
}

impl Default for ConnectionForm {
    fn default() -> Self {
        Self {
            name: String::new(),
            isolated: false,
            budget: "10,000".into(),
            renews: Renewal::Daily,
            on_limit: OnLimit::Refuse,
            tried: false,
            opened: false,
        }
    }
}

/// The connection string of an app: who has it spends within its budget.
pub struct Shared {
    pub name: String,
    pub uri: String,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    /// Overwrites it before its memory is given back.
    fn drop(&mut self) {
        self.uri.zeroize();
    }
}

#[derive(Debug, Default)]
pub struct MoveForm {
    pub from: AccountId,
    pub to: AccountId,
    pub amount: String,
    pub tried: bool,
    pub key: Option<IdempotencyKey>,
}

/// The limits of the whole wallet, as they are typed.
#[derive(Debug, Default)]
pub struct LimitsForm {
    pub per_payment: String,
    pub per_day: String,
    pub max_fee: String,
    /// Filled with what holds.
    pub filled: bool,
}
