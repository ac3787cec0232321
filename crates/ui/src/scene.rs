//! What a screen is given to draw with, and what it may ask to be done after the frame.

use domain::{IdempotencyKey, Timestamp};
use engine::{
    Command,
    view::{AccountId, View},
};
use std::sync::Arc;

use crate::{
    actions::{ActionId, Env, Subject},
    calls::Call,
    clock::Clock,
    courier::{Courier, Purpose},
    present::{
        desk::DeskData,
        frame::FrameData,
        job,
        wallet::{self, WalletData},
    },
    state::{MarketTab, Screen, State, WordsState},
};

/// What a screen wants done. Applied after the frame, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Run(ActionId),
    Go(Screen),
    Tab(MarketTab),
    Inspect(Subject),
    CloseInspector,
    Send(Purpose, Command),
    /// Copies a text; the name says what it was.
    Copy(String, String),
    Dismiss(Purpose),
    /// Opens the terms of an offer, new or announced.
    EditOffer(u16),
    /// Packs a folder or a file for the job to buy.
    Pack(std::path::PathBuf),
    StopPacking,
    /// A call of the wallet that moves no money.
    Ask(Call, serde_json::Value),
    /// Opens the terms of a sub-wallet.
    EditAccount(AccountId),
    /// Asks once more before a sub-wallet is closed.
    ConfirmClose(AccountId),
    /// Names this machine.
    Name(String),
    /// Opens the event of one step of a job's timeline.
    OpenStep {
        job: domain::RequestId,
        seq: u64,
    },
}

/// View data, made once per view.
pub struct Data {
    pub frame: FrameData,
    pub desk: DeskData,
    pub jobs: job::JobLists,
    pub wallet: WalletData,
}

impl Data {
    pub fn of(view: &View, clock: &Clock) -> Self {
        Self {
            frame: FrameData::of(view, clock),
            desk: DeskData::of(view, clock),
            jobs: job::JobLists::of(view, clock),
            wallet: WalletData::of(view, clock),
        }
    }
}

/// What a screen draws from. It reads; what it wants done goes into `acts`.
pub struct Scene<'a> {
    pub view: &'a Arc<View>,
    pub data: &'a Data,
    pub clock: &'a Clock,
    pub courier: &'a mut Courier,
    pub acts: &'a mut Vec<Act>,
    pub keys: &'a mut KeyMaker,
    pub mac: bool,
}

impl Scene<'_> {
    pub fn act(&mut self, act: Act) {
        self.acts.push(act);
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn copy(&mut self, what: &str, text: impl Into<String>) {
        self.acts.push(Act::Copy(what.to_owned(), text.into()));
    }

    /// Shows the last refusal for `purpose`, where there is one.
    pub fn error_of(&mut self, ui: &mut egui::Ui, state: &State, purpose: &Purpose) {
        use crate::widgets::notice::{self, ErrorAnswer};
        let Some(error) = state.errors.get(purpose) else { return };
        match notice::error(ui, purpose.title(), error, false) {
            Some(ErrorAnswer::Dismiss | ErrorAnswer::Retry) => {
                self.act(Act::Dismiss(purpose.clone()));
            }
            Some(ErrorAnswer::Copy(text)) => self.copy("Details", text),
            None => {}
        }
    }

    /// Words for a button whose answer takes longer than it should.
    pub fn slow(&self, purpose: &Purpose, slow_after_ms: u32) -> bool {
        self.courier
            .busy(purpose)
            .is_some_and(|sent| self.now().since_ms(sent) > u64::from(slow_after_ms))
    }
}

/// Keys that make a repeated command the same command: unique per window and click.
pub struct KeyMaker {
    prefix: String,
    made: u64,
}

impl KeyMaker {
    /// `seed` differs between any two windows that ever run; the clock alone may not.
    pub fn new(now: Timestamp, seed: u64) -> Self {
        Self { prefix: format!("{:x}-{seed:x}", now.0), made: 0 }
    }

    fn text(&mut self) -> String {
        self.made += 1;
        format!("{}-{}", self.prefix, self.made)
    }

    pub fn payment(&mut self) -> IdempotencyKey {
        IdempotencyKey::of("desk", self.text())
    }

    pub fn command(&mut self) -> Option<domain::CommandId> {
        domain::CommandId::new(format!("desk/{}", self.text())).ok()
    }
}

/// What the list of actions looks at.
pub fn env<'a>(view: &'a View, state: &State) -> Env<'a> {
    let selected_job = match &state.subject {
        Some(Subject::Job(id)) => job::find(view, *id).map(|job| &**job),
        _ => None,
    };
    let selected_payment = match &state.subject {
        Some(Subject::Payment(key)) => wallet::find(view, key).map(|payment| &**payment),
        _ => None,
    };
    Env {
        view,
        selected_job,
        selected_payment,
        wallet_shown: state.screen == Screen::Wallet,
        has_selection: state.subject.is_some(),
        activity_shown: state.screen == Screen::Activity,
        list_shown: !state.list.is_empty() || state.screen == Screen::Activity,
        words_kept: !matches!(state.words, WordsState::Here { shown: true, .. }),
    }
}
