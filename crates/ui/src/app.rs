//! The window's app object: one frame from input to pixels, and what acts do afterwards.

use domain::{ErrorBody, Timestamp};
use eframe::CreationContext;
use egui::{CentralPanel, Context, Frame, Panel, Ui};
use engine::{DeskPort, Reply, view::View};
use std::{
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

use crate::{
    actions::{ActionId, Subject},
    chooser::Chooser,
    clock::Clock,
    courier::{Courier, Purpose},
    deeds, frame, look,
    look::{Room, look as look_of},
    memory::{Keeper, Memory},
    palette,
    present::wallet,
    run,
    scene::{Act, Data, KeyMaker, Scene, env},
    screens, shortcuts,
    state::{AccountForm, MarketTab, Screen, State, WalletTab, WordsState},
    tokens::Tokens,
    wake::Wake,
    wallet_acts,
};

/// The desk's window. The same object is drawn by eframe, by tests and into pictures.
pub struct DeskApp {
    pub(crate) courier: Courier,
    pub(crate) state: State,
    pub(crate) clock: Clock,
    pub(crate) wake: Wake,
    pub(crate) chooser: Chooser,
    /// Absent where nothing is remembered: in pictures and measurements.
    keeper: Option<Keeper>,
    tokens: TokenFile,
    keys: KeyMaker,
    view: Arc<View>,
    data: Data,
    /// The day the data was made on: times are worded by it.
    data_day: u64,
}

/// The tokens in force and, while developing, the file they are read from again.
struct TokenFile {
    tokens: Tokens,
    #[cfg(debug_assertions)]
    watch: crate::watch::Watch,
}

const DAY_MS: u64 = 86_400_000;

impl DeskApp {
    /// The app over a running desk, drawn into `ctx`.
    pub fn new(port: Arc<dyn DeskPort>, clock: Clock, ctx: &Context) -> Self {
        let tokens = Tokens::embedded();
        look::install_fonts(ctx);
        look::wear(ctx, &tokens, false);
        ctx.options_mut(|options| options.zoom_with_keyboard = false);
        let frame_time = look_of(ctx).frame_time();
        let wake = Wake::new(ctx.clone(), frame_time);
        let hear = wake.clone();
        port.on_change(Arc::new(move || hear.call()));
        let view = port.view();
        let now = clock.now();
        // Two windows opened in the same millisecond still make different keys.
        let seed = std::hash::RandomState::new().build_hasher().finish();
        Self {
            data: Data::of(&view, &clock),
            data_day: now.0 / DAY_MS,
            courier: Courier::new(port),
            state: State::default(),
            keys: KeyMaker::new(now, seed),
            tokens: TokenFile {
                tokens,
                #[cfg(debug_assertions)]
                watch: crate::watch::Watch::default(),
            },
            view,
            wake,
            clock,
            chooser: Chooser::system(),
            keeper: None,
        }
    }

    /// The app in eframe or in a test harness. It starts anew, and nothing of it is kept.
    pub fn in_eframe(port: Arc<dyn DeskPort>, clock: Clock, cc: &CreationContext<'_>) -> Self {
        Self::new(port, clock, &cc.egui_ctx)
    }

    /// From now on as the last window of this network was, and kept for the next one.
    #[must_use]
    pub fn remembering(mut self, ctx: &Context) -> Self {
        let memory = Memory::of(&**self.courier.port());
        memory.restore(&mut self.state, ctx);
        self.wear(ctx);
        self.keeper = Some(Keeper::new(memory));
        self
    }

    /// With another way to choose folders and files.
    #[must_use]
    pub fn choosing_by(mut self, chooser: Chooser) -> Self {
        self.chooser = chooser;
        self
    }

    /// Opens a screen, as a deep link or a picture wants it.
    pub fn open(&mut self, screen: Screen) {
        self.state.go(screen);
    }

    /// Opens one tab of the Market.
    pub fn open_market(&mut self, tab: MarketTab) {
        self.state.go(Screen::Market);
        self.state.market.tab = tab;
    }

    /// Opens one part of the Wallet.
    pub fn open_wallet(&mut self, tab: WalletTab) {
        self.state.go(Screen::Wallet);
        self.state.wallet.tab = tab;
    }

    /// Selects a thing and shows it in the inspector.
    pub fn select(&mut self, subject: Subject) {
        self.state.inspect(subject);
    }

    pub fn screen(&self) -> Screen {
        self.state.screen
    }

    pub fn selected(&self) -> Option<&Subject> {
        self.state.subject.as_ref()
    }

    /// The view in force.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    pub(crate) fn wear(&self, ctx: &Context) {
        look::wear(ctx, &self.tokens.tokens, self.state.reduced_motion);
    }

    /// Takes in what the desk has said since the last frame.
    pub fn update(&mut self, ctx: &Context) {
        self.wake.frame();
        #[cfg(debug_assertions)]
        if let Some(tokens) = self.tokens.watch.changed(ctx) {
            self.tokens.tokens = tokens;
            self.wear(ctx);
        }
        self.courier.settle();
        self.notice_the_end(ctx);
        let view = self.courier.port().view();
        let day = self.clock.now().0 / DAY_MS;
        if !Arc::ptr_eq(&view, &self.view) || day != self.data_day {
            self.data = Data::of(&view, &self.clock);
            self.data_day = day;
            if view.wallet_cursor != self.view.wallet_cursor {
                self.courier.calls.changed();
            }
            self.view = view;
            // Whoever has been online or has a job knows the first steps.
            self.state.welcomed |= self.data.desk.online || !self.view.jobs.is_empty();
        }
        for (purpose, reply) in self.courier.replies() {
            self.heard(ctx, &purpose, reply);
        }
        self.take_attached(ctx);
        wallet_acts::update(self, ctx);
        if let Some(found) = self.courier.take_step() {
            match found {
                Ok(position) => self.state.inspect(Subject::Event(position)),
                Err(error) => self.say(ctx, error.to_string(), false),
            }
        }
        if matches!(self.state.words, WordsState::Fetching)
            && let Some(words) = self.courier.take_words()
        {
            self.state.words = match words {
                Ok(words) => WordsState::Here { words, shown: false },
                Err(error) => WordsState::Failed(error),
            };
        }
    }

    /// What was chosen, dropped or packed for the job to buy.
    fn take_attached(&mut self, ctx: &Context) {
        let dropped =
            ctx.input(|input| input.raw.dropped_files.first().map(|file| file.path().to_owned()));
        if dropped.is_some() && self.state.market.tab != MarketTab::Buy {
            self.run(ctx, ActionId::BuyJob);
        }
        if let Some(path) = dropped.or_else(|| self.courier.take_choice()) {
            self.pack(path);
        }
        if let Some(outcome) = self.courier.take_packed() {
            self.state.market.buy.key = None;
            self.state.market.buy.attached.outcome = Some(outcome);
        }
    }

    fn pack(&mut self, path: std::path::PathBuf) {
        let form = &mut self.state.market.buy;
        form.key = None;
        form.attached.path = path.display().to_string();
        form.attached.outcome = None;
        self.courier.pack(path);
    }

    /// Draws one frame.
    pub fn draw(&mut self, ui: &mut Ui) {
        let ctx = ui.ctx().clone();
        for id in shortcuts::pressed(&ctx, &mut self.state) {
            self.run(&ctx, id);
        }
        let mut acts = Vec::new();
        self.frame(ui, &mut acts);
        self.overlays(ui, &mut acts);
        self.state.was_typing = ctx.text_edit_focused();
        for act in acts {
            self.apply(&ctx, act);
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.look(&**self.courier.port(), &self.state, &ctx);
        }
    }

    fn frame(&mut self, ui: &mut Ui, acts: &mut Vec<Act>) {
        let look = look_of(ui.ctx());
        let room = look.room(ui.ctx());
        let narrow = room < Room::Wide;
        let mac = ui.ctx().os().is_mac();
        let state = &mut self.state;
        let mut scene = Scene {
            view: &self.view,
            data: &self.data,
            clock: &self.clock,
            courier: &mut self.courier,
            acts,
            keys: &mut self.keys,
            mac,
        };
        let canvas = Frame::new().fill(look.color.canvas);
        let rail_margin = look.margin(look.space.s, look.space.xs);
        let rail = if narrow { look.size.rail_narrow } else { look.size.rail };
        Panel::left("rail")
            .exact_size(rail)
            .resizable(false)
            .frame(canvas.inner_margin(rail_margin))
            .show(ui, |ui| frame::rail::show(ui, &mut scene, state, narrow));
        Panel::bottom("status")
            .exact_size(look.size.status_line)
            .frame(canvas)
            .show(ui, |ui| frame::status::show(ui, &mut scene, room));
        let bar_margin = look.margin(look.space.l, 0.0);
        Panel::top("top")
            .exact_size(look.size.top_bar)
            .frame(canvas.inner_margin(bar_margin))
            .show(ui, |ui| frame::top::show(ui, &mut scene, state, room));
        let surface = Frame::new().fill(look.color.surface);
        let inspected = state.inspector_open && state.subject.is_some();
        let inner = surface.inner_margin(look.margin(look.space.l, look.space.s));
        if inspected && room == Room::Tight {
            // There is no room beside it: it stands in the screen's place until it is closed.
            CentralPanel::no_frame()
                .frame(inner)
                .show(ui, |ui| frame::inspector::show(ui, &mut scene, state));
            return;
        }
        if inspected {
            let wide = state.inspector_width.unwrap_or(look.size.inspector);
            let width = if narrow { look.size.inspector_min } else { wide };
            let shown = Panel::right(("inspector", narrow))
                .default_size(width)
                .size_range(look.size.inspector_min..=look.size.inspector_max)
                .frame(inner)
                .show(ui, |ui| frame::inspector::show(ui, &mut scene, state));
            if !narrow {
                state.inspector_width = Some(shown.response.rect.width().round());
            }
        }
        CentralPanel::no_frame().frame(surface).show(ui, |ui| match state.screen {
            Screen::Desk => screens::desk::show(ui, &mut scene, state),
            Screen::Market => screens::market::show(ui, &mut scene, state),
            Screen::Wallet => screens::wallet::show(ui, &mut scene, state),
            Screen::Activity => screens::activity::show(ui, &mut scene, state),
        });
    }

    fn overlays(&mut self, ui: &mut Ui, acts: &mut Vec<Act>) {
        let mac = ui.ctx().os().is_mac();
        if let Some(mut open) = self.state.palette.take() {
            let env = env(&self.view, &self.state);
            let close = palette::show(ui, &mut open, (&self.view, &self.data, &env), mac, acts);
            if !close {
                self.state.palette = Some(open);
            }
        }
        if self.state.keys_open && frame::keys::show(ui, mac) {
            self.state.keys_open = false;
        }
        frame::toast::show(ui, &mut self.state);
    }

    fn apply(&mut self, ctx: &Context, act: Act) {
        match act {
            Act::Run(id) => self.run(ctx, id),
            Act::Go(screen) => self.state.go(screen),
            Act::Tab(tab) => {
                self.state.market.tab = tab;
                self.state.close_inspector();
            }
            Act::Inspect(subject) => self.inspect(subject),
            Act::CloseInspector => self.state.close_inspector(),
            Act::Send(purpose, command) => self.send(purpose, command),
            Act::Copy(what, text) => {
                ctx.copy_text(text);
                self.say(ctx, format!("{what} copied"), true);
            }
            Act::Dismiss(purpose) => {
                self.state.errors.remove(&purpose);
            }
            Act::OpenStep { job, seq } => self.courier.find_step(job, seq),
            Act::EditOffer(kind) => {
                self.state.go(Screen::Desk);
                self.state.desk.offer = deeds::form(&self.view, kind);
            }
            Act::Pack(path) => self.pack(path),
            Act::StopPacking => self.courier.stop_packing(),
            Act::Ask(call, params) => {
                self.state.errors.remove(&Purpose::Call(call.clone()));
                self.courier.call(call, params);
            }
            Act::EditAccount(id) => {
                self.state.go(Screen::Wallet);
                self.state.wallet.tab = WalletTab::Accounts;
                let known = wallet::account(&self.view, &id);
                self.state.wallet.account = known.map(|known| AccountForm::of(&known.account));
            }
            Act::ConfirmClose(id) => {
                self.state.go(Screen::Wallet);
                self.state.wallet.tab = WalletTab::Accounts;
                self.state.wallet.confirm_close = Some(id);
            }
            Act::Name(name) => {
                self.state.errors.remove(&Purpose::Name);
                let now = self.clock.now();
                self.courier.start(Purpose::Name, now, |port| port.name_machine(name));
            }
        }
        ctx.request_repaint();
    }

    /// Shows a thing; what is on another screen's list takes the operator there first.
    fn inspect(&mut self, subject: Subject) {
        match (&subject, self.state.screen) {
            (Subject::Job(_), Screen::Wallet | Screen::Activity) => self.state.go(Screen::Market),
            (Subject::Payment(_), Screen::Desk | Screen::Market | Screen::Activity) => {
                self.state.go(Screen::Wallet);
            }
            _ => {}
        }
        self.state.hide_words();
        self.state.inspect(subject);
    }

    pub(crate) fn send(&mut self, purpose: Purpose, command: engine::Command) {
        self.state.errors.remove(&purpose);
        let now = self.clock.now();
        self.courier.send(purpose, command, now);
    }

    pub(crate) fn say(&mut self, ctx: &Context, text: String, good: bool) {
        frame::toast::say(ctx, &mut self.state, text, good);
        ctx.request_repaint();
    }

    /// A desk that was told to stop takes its window with it; one that can't go on says why.
    fn notice_the_end(&mut self, ctx: &Context) {
        match self.courier.port().ended() {
            None => {}
            Some(Ok(())) => ctx.send_viewport_cmd(egui::ViewportCommand::Close),
            Some(Err(error)) => {
                let text = format!("{} Nothing more is done. Close the window.", error.message);
                self.say(ctx, text, false);
            }
        }
    }

    /// Runs an action of the list, or says why it can't be run now.
    pub fn run(&mut self, ctx: &Context, id: ActionId) {
        let available = (id.action().available)(&env(&self.view, &self.state));
        match available {
            Ok(()) => run::action(self, ctx, id),
            Err(why) => self.say(ctx, why, false),
        }
    }

    /// What a reply means for the window.
    fn heard(&mut self, ctx: &Context, purpose: &Purpose, reply: Reply) {
        match (purpose, reply) {
            (_, Reply::Refused(error)) => self.refused(ctx, purpose, error),
            (Purpose::Receive, Reply::PaymentStarted { key }) => {
                self.state.wallet.receive.started = Some(key);
            }
            (Purpose::Pay, Reply::PaymentStarted { key }) => {
                self.state.wallet.pay.started = Some(key);
                self.state.wallet.pay.confirming = false;
            }
            (Purpose::Buy, Reply::JobSubmitted { request_id }) => {
                self.state.market.buy.key = None;
                self.state.market.buy.tried = false;
                self.state.market.buy.input.clear();
                self.state.market.buy.attached = crate::state::Attached::default();
                self.state.inspect(Subject::Job(request_id));
                self.say(ctx, "Job asked for".into(), true);
            }
            (Purpose::Offer(kind), _) => {
                if self.state.desk.offer.as_ref().is_some_and(|form| form.kind == *kind) {
                    self.state.desk.offer = None;
                }
                self.say(ctx, "Offers changed".into(), true);
            }
            (Purpose::Name, _) => {
                self.state.name = None;
                self.say(ctx, "Name kept".into(), true);
            }
            (Purpose::Written, _) => {
                self.state.hide_words();
                self.say(ctx, "Noted: the words are written down".into(), true);
            }
            (Purpose::Cancel(_), _) => self.state.market.confirm_cancel = None,
            (Purpose::Relay, _) => {
                self.state.desk.adding_relay = false;
                self.state.desk.relay.clear();
            }
            _ => {}
        }
    }

    pub(crate) fn refused(&mut self, ctx: &Context, purpose: &Purpose, error: ErrorBody) {
        if purpose.screen() != self.state.screen {
            self.say(ctx, error.message.clone(), false);
        }
        self.state.errors.insert(purpose.clone(), error);
    }

    /// The time by the window's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl eframe::App for DeskApp {
    fn logic(&mut self, ctx: &Context, _frame: &mut eframe::Frame) {
        self.update(ctx);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.draw(ui);
    }

    fn on_exit(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            keeper.write(&**self.courier.port());
        }
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }
}
