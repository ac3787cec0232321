//! The one list of everything the operator can do: menu, palette, shortcuts, tooltips and `?`.

use domain::{IdempotencyKey, RequestId};
use egui::{Key, Modifiers};
use engine::view::{AccountView, JobRole, JobView, PaymentState, PaymentView, ProviderState, View};

use crate::present::words;

/// What an action does when it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ActionId {
    GoDesk,
    GoMarket,
    GoWallet,
    GoActivity,
    GoOnline,
    GoOffline,
    BuyJob,
    AcceptJob,
    RefuseJob,
    CancelJob,
    Receive,
    Pay,
    RefreshWallet,
    ScanImage,
    ApprovePayment,
    DenyPayment,
    ShowPayments,
    ShowAccounts,
    ShowLimits,
    ShowChannels,
    ShowConnections,
    OpenChannel,
    ConnectApp,
    ShowBackup,
    RehearseBackup,
    NewAccount,
    MoveMoney,
    ChangeLimits,
    ExportCsv,
    ExportJson,
    CopyReceipt,
    ShowWords,
    WordsWritten,
    NameMachine,
    CopyIdentity,
    AddRelay,
    ShowInbox,
    ShowActive,
    ShowHistory,
    ChooseFolder,
    ChooseFile,
    CopyResult,
    Filter,
    FollowTail,
    SelectNext,
    SelectPrevious,
    Open,
    Back,
    CopySelected,
    Palette,
    Keys,
    ThemeDark,
    ThemeLight,
    ThemeSystem,
    ReduceMotion,
    ZoomIn,
    ZoomOut,
    ZoomReset,
    Quit,
}

/// Where an action stands in menus and lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    Go,
    Sell,
    Buy,
    Wallet,
    Identity,
    Lists,
    Window,
}

impl Group {
    pub const ALL: [Self; 7] =
        [Self::Go, Self::Sell, Self::Buy, Self::Wallet, Self::Identity, Self::Lists, Self::Window];

    pub fn title(self) -> &'static str {
        match self {
            Self::Go => "Go to",
            Self::Sell => "Sell",
            Self::Buy => "Buy",
            Self::Wallet => "Wallet",
            Self::Identity => "Identity",
            Self::Lists => "Lists",
            Self::Window => "Window",
        }
    }
}

/// One way to reach an action by keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Modifiers and a key, at once.
    Chord(Modifiers, Key),
    /// One key, then another.
    Then(Key, Key),
}

impl Keys {
    const fn plain(key: Key) -> Self {
        Self::Chord(Modifiers::NONE, key)
    }

    const fn command(key: Key) -> Self {
        Self::Chord(Modifiers::COMMAND, key)
    }

    /// `Ctrl K`, `g d`, `?`: as a key list prints it.
    pub fn text(self, mac: bool) -> String {
        match self {
            Self::Chord(modifiers, key) => {
                let mut parts: Vec<String> = Vec::new();
                if modifiers.command {
                    parts.push(if mac { "⌘".into() } else { "Ctrl".into() });
                }
                if modifiers.shift {
                    parts.push("Shift".into());
                }
                let text = key_text(key);
                parts.push(if modifiers.is_none() { text } else { text.to_uppercase() });
                parts.join(" ")
            }
            Self::Then(first, second) => format!("{} {}", key_text(first), key_text(second)),
        }
    }
}

fn key_text(key: Key) -> String {
    match key {
        Key::Questionmark => "?".into(),
        Key::Slash => "/".into(),
        Key::Plus => "+".into(),
        Key::Minus => "−".into(),
        Key::ArrowDown => "↓".into(),
        Key::ArrowUp => "↑".into(),
        Key::Escape => "Esc".into(),
        Key::Num0 => "0".into(),
        key if key.name().len() == 1 => key.name().to_lowercase(),
        key => key.name().into(),
    }
}

/// What the list of actions looks at to say which of them can be run now.
pub struct Env<'a> {
    pub view: &'a View,
    pub selected_job: Option<&'a JobView>,
    /// The selected thing has something to copy.
    pub has_selection: bool,
    pub selected_payment: Option<&'a PaymentView>,
    pub activity_shown: bool,
    pub wallet_shown: bool,
    pub list_shown: bool,
    pub words_kept: bool,
}

/// Whether an action can be run, and if not, why.
pub type Availability = Result<(), String>;

/// One action, complete: everything that names it, reaches it or gates it.
pub struct Action {
    pub id: ActionId,
    pub group: Group,
    /// Sentence case, a verb first: button, menu, palette and key list.
    pub title: &'static str,
    pub tooltip: &'static str,
    pub keys: &'static [Keys],
    /// The same thing on the command line.
    pub cli: Option<&'static str>,
    pub available: fn(&Env<'_>) -> Availability,
}

fn always(_: &Env<'_>) -> Availability {
    Ok(())
}

fn refuse(reason: impl Into<String>) -> Availability {
    Err(reason.into())
}

fn can_go_online(env: &Env<'_>) -> Availability {
    match env.view.provider.state {
        ProviderState::Offline => match env.view.provider.blockers.first() {
            None => Ok(()),
            Some(blocker) => refuse(blocker.message.clone()),
        },
        _ => refuse("This machine is online already."),
    }
}

fn can_go_offline(env: &Env<'_>) -> Availability {
    match env.view.provider.state {
        ProviderState::Offline => refuse("This machine is offline already."),
        _ => Ok(()),
    }
}

fn job_waits_for_operator(env: &Env<'_>) -> Availability {
    match env.selected_job {
        None => refuse("Select a job that waits for you first."),
        Some(job) if words::waits_for_operator(job) => Ok(()),
        Some(_) => refuse("This job doesn't wait for you."),
    }
}

fn can_cancel(env: &Env<'_>) -> Availability {
    match env.selected_job {
        None => refuse("Select a job first."),
        Some(job) if job.over => refuse("This job is over."),
        Some(job) if job.role == JobRole::Provider && job.proofs.paid.is_some() => {
            refuse("This job is paid for; it can't be cancelled.")
        }
        Some(_) => Ok(()),
    }
}

fn has_identity(env: &Env<'_>) -> Availability {
    if env.view.identity.is_some() { Ok(()) } else { refuse("This machine has no identity yet.") }
}

fn can_write_words(env: &Env<'_>) -> Availability {
    match &env.view.identity {
        None => has_identity(env),
        Some(identity) if identity.backed_up => refuse("They are written down already."),
        Some(_) => Ok(()),
    }
}

fn has_result(env: &Env<'_>) -> Availability {
    match env.selected_job {
        Some(job) if job.role == JobRole::Buyer && job.result_sha256.is_some() => Ok(()),
        Some(_) => refuse("This job has no result here."),
        None => refuse("Select a job that you bought first."),
    }
}

fn can_show_words(env: &Env<'_>) -> Availability {
    has_identity(env)?;
    if env.words_kept { Ok(()) } else { refuse("The words are shown already.") }
}

fn in_activity(env: &Env<'_>) -> Availability {
    if env.activity_shown { Ok(()) } else { refuse("Open Activity first.") }
}

fn can_filter(env: &Env<'_>) -> Availability {
    let filtered = env.activity_shown || env.wallet_shown;
    if filtered { Ok(()) } else { refuse("Open Activity or Wallet first.") }
}

fn payment_waits(env: &Env<'_>) -> Availability {
    match env.selected_payment {
        None => refuse("Select a payment that waits for you first."),
        Some(payment) if payment.state == PaymentState::AwaitingApproval => Ok(()),
        Some(_) => refuse("Select a payment that waits for you: this one doesn't."),
    }
}

fn has_payment(env: &Env<'_>) -> Availability {
    match env.selected_payment {
        Some(_) => Ok(()),
        None => refuse("Select a payment first."),
    }
}

fn can_move(env: &Env<'_>) -> Availability {
    let own = |one: &AccountView| one.account.isolated && !one.closed;
    if env.view.wallet.accounts.iter().any(own) {
        return Ok(());
    }
    refuse("Select or make a sub-wallet with money of its own first.")
}

fn has_channels(env: &Env<'_>) -> Availability {
    if words::has_channels(env.view) {
        return Ok(());
    }
    refuse("Select a Lightning node as the wallet first: only it has channels.")
}

fn in_list(env: &Env<'_>) -> Availability {
    if env.list_shown { Ok(()) } else { refuse("There is no list here.") }
}

fn has_selection(env: &Env<'_>) -> Availability {
    if env.has_selection { Ok(()) } else { refuse("Select something first.") }
}

macro_rules! actions {
    ($($id:ident, $group:ident, $title:literal, $tooltip:literal, [$($key:expr),*], $cli:expr,
       $available:expr;)*) => {
        /// Every action of the desk, in the order in which lists show them.
        pub const ACTIONS: &[Action] = &[$(Action {
            id: ActionId::$id,
            group: Group::$group,
            title: $title,
            tooltip: $tooltip,
            keys: &[$($key),*],
            cli: $cli,
            available: $available,
        }),*];
    };
}

actions! {
    GoDesk, Go, "Go to Desk", "Go online, offers, and what is happening now",
        [Keys::Then(Key::G, Key::D)], Some("pilothouse status"), always;
    GoMarket, Go, "Go to Market", "Jobs sold and bought",
        [Keys::Then(Key::G, Key::M)], Some("pilothouse job list"), always;
    GoWallet, Go, "Go to Wallet", "Balance, receive, pay and history",
        [Keys::Then(Key::G, Key::W)], Some("pilothouse wallet balance"), always;
    GoActivity, Go, "Go to Activity", "The log of everything that happened",
        [Keys::Then(Key::G, Key::A)], Some("pilothouse events list"), always;

    ShowInbox, Go, "Show inbox", "Jobs that wait for your answer",
        [Keys::Then(Key::G, Key::I)], Some("pilothouse job list"), always;
    ShowActive, Go, "Show active jobs", "Jobs that run, sold and bought",
        [Keys::Then(Key::G, Key::J)], Some("pilothouse job list"), always;
    ShowHistory, Go, "Show job history", "Jobs that are over, with their proofs",
        [Keys::Then(Key::G, Key::H)], Some("pilothouse job list"), always;

    GoOnline, Sell, "Go online", "Announce the offers and take jobs",
        [Keys::plain(Key::O)], Some("pilothouse provider online"), can_go_online;
    GoOffline, Sell, "Go offline", "Take no new jobs; running ones are finished",
        [Keys::Chord(Modifiers::SHIFT, Key::O)], Some("pilothouse provider offline"),
        can_go_offline;
    AcceptJob, Sell, "Accept job", "Take the selected job that waits for you",
        [Keys::plain(Key::A)], Some("pilothouse job accept ID"), job_waits_for_operator;
    RefuseJob, Sell, "Refuse job", "Decline the selected job that waits for you",
        [Keys::plain(Key::X)], Some("pilothouse job refuse ID"), job_waits_for_operator;
    AddRelay, Sell, "Add relay", "Connect to one more relay",
        [], Some("pilothouse provider relays add URL"), always;

    BuyJob, Buy, "Buy job", "Ask providers to do a job and pay for it",
        [Keys::plain(Key::B)], Some("pilothouse job submit --kind 5930 --text COMMAND"), always;
    CancelJob, Buy, "Cancel job", "Cancel the selected job; what was paid stays paid",
        [Keys::plain(Key::C)], Some("pilothouse job cancel ID"), can_cancel;

    ChooseFolder, Buy, "Choose folder", "Pack a folder for the job to buy",
        [], Some("pilothouse job submit --kind 5931 --path FOLDER"), always;
    ChooseFile, Buy, "Choose file", "Send a file with the job to buy",
        [], Some("pilothouse job submit --kind 5000 --path FILE"), always;
    CopyResult, Buy, "Copy result", "Copy what the selected job brought",
        [Keys::Chord(Modifiers::SHIFT, Key::Y)], Some("pilothouse job show ID"), has_result;

    Receive, Wallet, "Receive", "Make an invoice, an offer or an address that others can pay",
        [Keys::plain(Key::R)], Some("pilothouse wallet receive MSAT"), always;
    Pay, Wallet, "Pay", "Pay an invoice, an offer or an address",
        [Keys::plain(Key::P)], Some("pilothouse wallet pay REQUEST"), always;
    ScanImage, Wallet, "Scan copied image", "Find the QR code in an image that was copied",
        [Keys::plain(Key::S)], None, always;
    ApprovePayment, Wallet, "Pay all the same", "Let the selected payment go above its limit",
        [Keys::Chord(Modifiers::SHIFT, Key::P)], Some("pilothouse wallet approve KEY"),
        payment_waits;
    DenyPayment, Wallet, "Don't pay", "Refuse the selected payment that waits for you",
        [Keys::Chord(Modifiers::SHIFT, Key::X)], Some("pilothouse wallet deny KEY"),
        payment_waits;
    ShowPayments, Wallet, "Show payments", "Payments in and out, with their proofs",
        [Keys::Then(Key::G, Key::P)], Some("pilothouse wallet history"), always;
    ShowAccounts, Wallet, "Show sub-wallets", "What agents and apps may spend",
        [Keys::Then(Key::G, Key::S)], Some("pilothouse wallet accounts list"), always;
    ShowLimits, Wallet, "Show limits", "What may be spent, and how much of it is used",
        [Keys::Then(Key::G, Key::L)], Some("pilothouse wallet limits"), always;
    ShowChannels, Wallet, "Show channels", "What each channel can send and receive",
        [Keys::Then(Key::G, Key::C)], Some("pilothouse wallet channels list"), has_channels;
    OpenChannel, Wallet, "Open channel", "Its cost is shown before it is opened",
        [], Some("pilothouse wallet channels open PEER SAT"), has_channels;
    ShowConnections, Wallet, "Show connections", "Apps that may pay from this wallet",
        [Keys::Then(Key::G, Key::N)], Some("pilothouse wallet connections list"), always;
    ConnectApp, Wallet, "Connect app", "Let an app pay from a budget of its own",
        [], Some("pilothouse wallet connections create NAME"), always;
    ShowBackup, Wallet, "Show backup", "Whether the money can be brought back, and from where",
        [Keys::Then(Key::G, Key::B)], Some("pilothouse wallet backup status"), always;
    RehearseBackup, Wallet, "Rehearse backup", "Restore it beside the wallet, compare, and forget it",
        [], Some("pilothouse wallet backup rehearse"), always;
    NewAccount, Wallet, "Make sub-wallet", "A budget of its own for an agent or an app",
        [], Some("pilothouse wallet accounts set ID"), always;
    MoveMoney, Wallet, "Move money", "Between you and a sub-wallet with money of its own",
        [], Some("pilothouse wallet accounts move FROM TO MSAT"), can_move;
    ChangeLimits, Wallet, "Change limits", "The most for one payment, a day and one fee",
        [], Some("pilothouse wallet limits --per-day-msat MSAT"), always;
    ExportCsv, Wallet, "Export as CSV", "Write the payments that are shown into a table",
        [], Some("pilothouse wallet history"), always;
    ExportJson, Wallet, "Export as JSON", "Write the payments that are shown into a JSON file",
        [], Some("pilothouse --json wallet history"), always;
    CopyReceipt, Wallet, "Copy receipt", "Copy what proves the selected payment",
        [], None, has_payment;
    RefreshWallet, Wallet, "Refresh balance", "Ask the wallet for its balance again",
        [Keys::plain(Key::F5)], Some("pilothouse wallet balance"), always;

    CopyIdentity, Identity, "Copy npub", "Copy this machine's public key",
        [], Some("pilothouse identity show"), has_identity;
    NameMachine, Identity, "Name this machine", "A name that only this desk shows",
        [], Some("pilothouse identity name NAME"), has_identity;
    WordsWritten, Identity, "Mark words as written down", "From now on nothing reminds of them",
        [], Some("pilothouse identity words-written"), can_write_words;
    ShowWords, Identity, "Show the words", "Show the recovery words of this machine's identity",
        [], Some("pilothouse identity show --words"), can_show_words;

    SelectNext, Lists, "Select next", "Select the next row",
        [Keys::plain(Key::J), Keys::plain(Key::ArrowDown)], None, in_list;
    SelectPrevious, Lists, "Select previous", "Select the row before",
        [Keys::plain(Key::K), Keys::plain(Key::ArrowUp)], None, in_list;
    Open, Lists, "Open selected", "Open the selected row in the inspector",
        [Keys::plain(Key::Enter)], None, has_selection;
    Back, Lists, "Go back", "Close what is open, or go back",
        [Keys::plain(Key::Escape)], None, always;
    CopySelected, Lists, "Copy as JSON", "Copy the selected job, payment or event",
        [Keys::plain(Key::Y)], None, has_selection;
    Filter, Lists, "Filter list", "Show only the events or payments that contain a text",
        [Keys::plain(Key::Slash)], Some("pilothouse events list --filter TEXT"), can_filter;
    FollowTail, Lists, "Follow newest", "Keep the newest event in sight, or stop doing so",
        [Keys::plain(Key::F)], Some("pilothouse events tail"), in_activity;

    Palette, Window, "Search commands", "Find any command, job, payment or setting",
        [Keys::command(Key::K)], None, always;
    Keys, Window, "Show keys", "List every key",
        [Keys::plain(Key::Questionmark)], None, always;
    ThemeSystem, Window, "Follow system theme", "Light or dark, as the system says",
        [], None, always;
    ThemeDark, Window, "Use dark theme", "Always dark", [], None, always;
    ThemeLight, Window, "Use light theme", "Always light", [], None, always;
    ReduceMotion, Window, "Reduce motion", "Stop what moves, or let it move again",
        [], None, always;
    ZoomIn, Window, "Zoom in", "Make everything larger",
        [Keys::command(Key::Plus), Keys::command(Key::Equals)], None, always;
    ZoomOut, Window, "Zoom out", "Make everything smaller",
        [Keys::command(Key::Minus)], None, always;
    ZoomReset, Window, "Reset zoom", "Back to the normal size",
        [Keys::command(Key::Num0)], None, always;
    Quit, Window, "Quit", "Close the desk",
        [Keys::command(Key::Q)], None, always;
}

impl ActionId {
    /// The one entry of the list with this id.
    pub fn action(self) -> &'static Action {
        ACTIONS
            .iter()
            .find(|action| action.id == self)
            .expect("BUG: a test finds every id in the list")
    }

    pub fn title(self) -> &'static str {
        self.action().title
    }

    /// The first key that runs it, as a tooltip prints it.
    pub fn shortcut(self, mac: bool) -> Option<String> {
        self.action().keys.first().map(|keys| keys.text(mac))
    }
}

/// What the operator has selected and the inspector shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Job(RequestId),
    Payment(IdempotencyKey),
    /// An event by its local position.
    Event(u64),
    Identity,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_action_is_named_once_and_each_key_runs_one() {
        let mut ids = HashSet::new();
        let mut titles = HashSet::new();
        let mut keys: Vec<Keys> = Vec::new();
        for action in ACTIONS {
            assert!(ids.insert(action.id), "{:?} twice", action.id);
            assert!(titles.insert(action.title), "{} twice", action.title);
            assert!(action.title.chars().next().is_some_and(char::is_uppercase));
            assert!(!action.tooltip.is_empty() && !action.tooltip.ends_with('.'));
            assert!(action.cli.is_none_or(|cli| cli.starts_with("pilothouse ")));
            for key in action.keys {
                assert!(!keys.contains(key), "{} is taken", key.text(false));
                keys.push(*key);
            }
        }
        let starts: Vec<Key> = keys
            .iter()
            .filter_map(|keys| if let Keys::Then(first, _) = keys { Some(*first) } else { None })
            .collect();
        for key in &keys {
            if let Keys::Chord(modifiers, key) = key {
                assert!(!(modifiers.is_none() && starts.contains(key)), "{key:?} also starts");
            }
        }
    }

    #[test]
    fn keys_read_as_people_write_them() {
        let text = |id: ActionId| id.shortcut(false).unwrap();
        assert_eq!(text(ActionId::GoDesk), "g d");
        assert_eq!(text(ActionId::Palette), "Ctrl K");
        assert_eq!(text(ActionId::GoOffline), "Shift O");
        assert_eq!(text(ActionId::Keys), "?");
    }
}
