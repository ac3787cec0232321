//! What the window itself remembers: where it is, what is typed and selected. Nothing of the desk.

use domain::{CommandId, ErrorBody};
use egui::{Key, ThemePreference};
use engine::{command::PaymentPolicy, port::Packed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::Zeroize;

use crate::{
    actions::Subject,
    courier::{PackOutcome, Purpose},
    palette::PaletteState,
};

pub use crate::wallet_state::{
    AccountForm, ChannelForm, CloseForm, ConnectionForm, Expiry, LimitsForm, MoveForm, PayForm,
    Read, ReceiveForm, Shared, WalletPanel, WalletScreen, WalletTab,
};

/// One screen per noun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Screen {
    #[default]
    Desk,
    Market,
    Wallet,
    Activity,
}

impl Screen {
    pub const ALL: [Self; 4] = [Self::Desk, Self::Market, Self::Wallet, Self::Activity];

    pub fn title(self) -> &'static str {
        match self {
            Self::Desk => "Desk",
            Self::Market => "Market",
            Self::Wallet => "Wallet",
            Self::Activity => "Activity",
        }
    }
}

/// The lists of the Market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarketTab {
    Inbox,
    #[default]
    Active,
    History,
    Buy,
}

#[derive(Debug, Default)]
pub struct MarketState {
    pub tab: MarketTab,
    pub buy: BuyForm,
    /// A cancellation that waits for a second click.
    pub confirm_cancel: Option<domain::RequestId>,
}

/// What is typed into the form that buys a job.
#[derive(Debug)]
pub struct BuyForm {
    /// Index into the kinds that the form knows.
    pub kind: usize,
    pub input: String,
    pub attached: Attached,
    pub params: String,
    pub bid: String,
    pub max_fee: String,
    pub provider: String,
    pub timeout: String,
    /// The same submission keeps its key until something is changed.
    pub key: Option<CommandId>,
    /// The operator tried to submit: from now on faults are shown.
    pub tried: bool,
}

impl Default for BuyForm {
    fn default() -> Self {
        Self {
            kind: 0,
            input: String::new(),
            attached: Attached::default(),
            params: String::new(),
            bid: "100".into(),
            max_fee: "20".into(),
            provider: String::new(),
            timeout: "300".into(),
            key: None,
            tried: false,
        }
    }
}

/// A folder or file that goes with a job: where it is, and what became of packing it.
#[derive(Debug, Default)]
pub struct Attached {
    pub path: String,
    pub outcome: Option<PackOutcome>,
}

impl Attached {
    /// The packed input, where it is of the path that is written there now.
    pub fn packed(&self) -> Option<&Packed> {
        match &self.outcome {
            Some((path, Ok(packed))) if path.as_os_str() == self.path.trim() => Some(packed),
            _ => None,
        }
    }

    /// Why the path that is written there now could not be packed.
    pub fn failed(&self) -> Option<&ErrorBody> {
        match &self.outcome {
            Some((path, Err(error))) if path.as_os_str() == self.path.trim() => Some(error),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub struct ActivityState {
    pub filter: String,
    pub follow: bool,
    /// Rows shown while the pointer reads them; absent when the list is live.
    pub held_at: Option<u64>,
    /// Scroll to this row when the list is drawn next.
    pub scroll_to: Option<u64>,
    pub selected_row: Option<u64>,
    pub focus_filter: bool,
}

impl Default for ActivityState {
    fn default() -> Self {
        Self {
            filter: String::new(),
            follow: true,
            held_at: None,
            scroll_to: None,
            selected_row: None,
            focus_filter: false,
        }
    }
}

/// The offer whose terms are being edited, and the relay being added.
#[derive(Debug, Default)]
pub struct DeskState {
    pub offer: Option<OfferForm>,
    pub adding_relay: bool,
    pub relay: String,
}

/// The terms of one offer, as they are typed.
#[derive(Debug)]
pub struct OfferForm {
    pub kind: u16,
    pub price: String,
    pub payment: PaymentPolicy,
    /// It is not offered yet.
    pub is_new: bool,
    /// Its price field has had the focus once.
    pub opened: bool,
}

/// The recovery words, from asking for them to hiding them again.
#[derive(Debug, Default)]
pub enum WordsState {
    #[default]
    Hidden,
    Fetching,
    /// Fetched but covered; `shown` uncovers them.
    Here {
        words: Vec<String>,
        shown: bool,
    },
    Failed(ErrorBody),
}

impl Drop for WordsState {
    /// Overwrites the words before their memory is given back.
    fn drop(&mut self) {
        if let Self::Here { words, .. } = self {
            words.zeroize();
        }
    }
}

/// A short message in the corner.
#[derive(Debug)]
pub struct Toast {
    pub text: String,
    pub good: bool,
    /// Seconds of the window's own clock at which it goes.
    pub until: f64,
}

/// Everything the window remembers.
#[derive(Default)]
pub struct State {
    pub screen: Screen,
    /// Screens gone through, newest last, for Back.
    pub trail: Vec<Screen>,
    pub subject: Option<Subject>,
    pub inspector_open: bool,
    pub desk: DeskState,
    pub market: MarketState,
    pub wallet: WalletScreen,
    pub activity: ActivityState,
    pub palette: Option<PaletteState>,
    pub keys_open: bool,
    pub words: WordsState,
    /// The name of this machine while it is typed.
    pub name: Option<String>,
    pub focus_name: bool,
    /// The first steps are done or were put away.
    pub welcomed: bool,
    /// The inspector's width in a window that is not narrow.
    pub inspector_width: Option<f32>,
    /// A result is shown whole: of this job.
    pub whole_result: Option<domain::RequestId>,
    /// The last refusal for each purpose, shown where the operator acted.
    pub errors: BTreeMap<Purpose, ErrorBody>,
    pub toast: Option<Toast>,
    pub theme: ThemePreference,
    pub reduced_motion: bool,
    /// The first key of a two-key shortcut and when it was pressed.
    pub sequence: Option<(Key, f64)>,
    /// A field had the keyboard when the last frame ended.
    pub was_typing: bool,
    /// Rows of the list on screen, for the keys that move the selection.
    pub list: Vec<Subject>,
}

/// How many screens Back remembers.
const TRAIL_KEPT: usize = 16;

impl State {
    pub fn go(&mut self, screen: Screen) {
        if self.screen != screen {
            self.trail.push(self.screen);
            if self.trail.len() > TRAIL_KEPT {
                self.trail.remove(0);
            }
            self.screen = screen;
            self.close_inspector();
            self.list.clear();
        }
    }

    pub fn inspect(&mut self, subject: Subject) {
        self.subject = Some(subject);
        self.inspector_open = true;
    }

    pub fn close_inspector(&mut self) {
        self.inspector_open = false;
        self.subject = None;
        self.activity.selected_row = None;
        self.hide_words();
    }

    pub fn hide_words(&mut self) {
        self.words = WordsState::Hidden;
    }

    /// Moves the selection of the list on screen by one row.
    pub fn step(&mut self, down: bool) {
        if self.list.is_empty() {
            return;
        }
        let at = self.subject.as_ref().and_then(|s| self.list.iter().position(|row| row == s));
        let last = self.list.len() - 1;
        let next = match (at, down) {
            (None, true) => 0,
            (None, false) => last,
            (Some(at), true) => (at + 1).min(last),
            (Some(at), false) => at.saturating_sub(1),
        };
        self.subject = self.list.get(next).cloned();
        self.inspector_open = true;
    }
}
