//! Running an action of the list: the one place where an id becomes a deed.

use egui::{Context, ThemePreference, ViewportCommand};
use engine::{Command, view::JobResult};
use std::sync::Arc;

use crate::{
    actions::{ActionId, Subject},
    app::DeskApp,
    chooser::Wanted,
    courier::Purpose,
    frame::inspector,
    memory,
    palette::PaletteState,
    present::result::ResultText,
    scene::{Data, KeyMaker, Scene},
    screens::{activity, market},
    state::{MarketTab, Screen, WalletPanel, WalletTab, WordsState},
    wallet_acts,
};

pub fn action(app: &mut DeskApp, ctx: &Context, id: ActionId) {
    match id {
        ActionId::GoDesk => app.state.go(Screen::Desk),
        ActionId::GoMarket => go_market(app),
        ActionId::GoWallet => app.state.go(Screen::Wallet),
        ActionId::GoActivity => app.state.go(Screen::Activity),
        ActionId::GoOnline => app.send(Purpose::Switch, Command::ProviderOnline),
        ActionId::GoOffline => app.send(Purpose::Switch, Command::ProviderOffline),
        ActionId::BuyJob => go_buy(app),
        ActionId::ShowInbox => show_tab(app, MarketTab::Inbox),
        ActionId::ShowActive => show_tab(app, MarketTab::Active),
        ActionId::ShowHistory => show_tab(app, MarketTab::History),
        ActionId::ChooseFolder => choose(app, Wanted::Folder),
        ActionId::ChooseFile => choose(app, Wanted::File),
        ActionId::CopyResult => copy_result(app, ctx),
        ActionId::AcceptJob | ActionId::RefuseJob | ActionId::CancelJob => job(app, id),
        ActionId::AddRelay => {
            app.state.go(Screen::Desk);
            app.state.desk.adding_relay = true;
        }
        ActionId::Receive
        | ActionId::Pay
        | ActionId::ScanImage
        | ActionId::ApprovePayment
        | ActionId::DenyPayment
        | ActionId::ShowPayments
        | ActionId::ShowAccounts
        | ActionId::ShowLimits
        | ActionId::ShowChannels
        | ActionId::ShowConnections
        | ActionId::OpenChannel
        | ActionId::ConnectApp
        | ActionId::ShowBackup
        | ActionId::RehearseBackup
        | ActionId::NewAccount
        | ActionId::MoveMoney
        | ActionId::ChangeLimits
        | ActionId::ExportCsv
        | ActionId::ExportJson
        | ActionId::CopyReceipt => wallet_acts::run(app, ctx, id),
        ActionId::RefreshWallet => app.send(Purpose::Refresh, Command::WalletRefresh),
        ActionId::CopyIdentity => copy_identity(app, ctx),
        ActionId::ShowWords => show_words(app),
        ActionId::NameMachine => {
            app.state.inspect(Subject::Identity);
            app.state.focus_name = true;
        }
        ActionId::WordsWritten => {
            let now = app.clock.now();
            app.courier.start(Purpose::Written, now, |port| port.words_written());
        }
        ActionId::Filter if app.state.screen == Screen::Wallet => {
            app.state.wallet.tab = WalletTab::Payments;
            app.state.wallet.focus_filter = true;
        }
        ActionId::Filter => app.state.activity.focus_filter = true,
        ActionId::FollowTail => {
            let activity = &mut app.state.activity;
            activity.follow = !activity.follow;
            activity.scroll_to = activity.follow.then_some(u64::MAX);
        }
        ActionId::SelectNext => step(app, ctx, true),
        ActionId::SelectPrevious => step(app, ctx, false),
        ActionId::Open => app.state.inspector_open = app.state.subject.is_some(),
        ActionId::Back => back(app),
        ActionId::CopySelected => copy_selected(app, ctx),
        ActionId::Palette => app.state.palette = Some(PaletteState::default()),
        ActionId::Keys => app.state.keys_open = true,
        ActionId::ThemeDark
        | ActionId::ThemeLight
        | ActionId::ThemeSystem
        | ActionId::ReduceMotion
        | ActionId::ZoomIn
        | ActionId::ZoomOut
        | ActionId::ZoomReset => appearance(app, ctx, id),
        ActionId::Quit => ctx.send_viewport_cmd(ViewportCommand::Close),
    }
    ctx.request_repaint();
}

/// How the window looks.
fn appearance(app: &mut DeskApp, ctx: &Context, id: ActionId) {
    match id {
        ActionId::ThemeDark => theme(app, ctx, ThemePreference::Dark),
        ActionId::ThemeLight => theme(app, ctx, ThemePreference::Light),
        ActionId::ThemeSystem => theme(app, ctx, ThemePreference::System),
        ActionId::ReduceMotion => {
            app.state.reduced_motion = !app.state.reduced_motion;
            app.wear(ctx);
            let now = if app.state.reduced_motion { "Motion is reduced" } else { "Motion is back" };
            app.say(ctx, now.into(), true);
        }
        ActionId::ZoomIn => zoom(app, ctx, memory::next_zoom(memory::percent(ctx), true)),
        ActionId::ZoomOut => zoom(app, ctx, memory::next_zoom(memory::percent(ctx), false)),
        ActionId::ZoomReset => zoom(app, ctx, 100),
        _ => {}
    }
}

fn go_market(app: &mut DeskApp) {
    app.state.go(Screen::Market);
    let waiting = app.view().jobs.iter().any(|job| crate::present::words::waits_for_operator(job));
    if waiting {
        app.state.market.tab = MarketTab::Inbox;
    }
}

fn job(app: &mut DeskApp, id: ActionId) {
    let Some(Subject::Job(request_id)) = app.state.subject else { return };
    match id {
        ActionId::AcceptJob => {
            app.send(Purpose::Answer(request_id), Command::JobAccept { request_id });
        }
        ActionId::RefuseJob => {
            app.send(Purpose::Answer(request_id), Command::JobRefuse { request_id });
        }
        _ => {
            // What it does to the money is shown in the inspector before it is done.
            app.state.market.confirm_cancel = Some(request_id);
            app.state.inspector_open = true;
        }
    }
}

fn copy_identity(app: &mut DeskApp, ctx: &Context) {
    if let Some(identity) = &app.view().identity {
        ctx.copy_text(identity.npub.clone());
        app.say(ctx, "Npub copied".into(), true);
    }
}

fn show_words(app: &mut DeskApp) {
    app.state.inspect(Subject::Identity);
    match &mut app.state.words {
        WordsState::Here { shown, .. } => *shown = true,
        _ => {
            let wake = app.wake.clone();
            app.state.words = match app.courier.fetch_words(Arc::new(move || wake.call())) {
                Ok(()) => WordsState::Fetching,
                Err(error) => WordsState::Failed(error),
            };
        }
    }
}

fn step(app: &mut DeskApp, ctx: &Context, down: bool) {
    if app.state.screen != Screen::Activity {
        app.state.step(down);
        return;
    }
    let view = app.view().clone();
    let data = Data::of(&view, &app.clock);
    let mut acts = Vec::new();
    let mut keys = KeyMaker::new(app.clock.now(), 0);
    let mut scene = Scene {
        view: &view,
        data: &data,
        clock: &app.clock,
        courier: &mut app.courier,
        acts: &mut acts,
        keys: &mut keys,
        mac: ctx.os().is_mac(),
    };
    if let Some(subject) = activity::step(&mut scene, &mut app.state, down) {
        app.state.inspect(subject);
    }
}

/// Closes the topmost thing; where nothing is open, goes back one screen.
fn back(app: &mut DeskApp) {
    let state = &mut app.state;
    let keys = std::mem::take(&mut state.keys_open);
    let closed = state.palette.take().is_some()
        || keys
        || state.toast.take().is_some()
        || state.market.confirm_cancel.take().is_some()
        || state.wallet.confirm_close.take().is_some();
    if closed {
        return;
    }
    if state.inspector_open {
        state.close_inspector();
    } else if state.screen == Screen::Wallet && state.wallet.panel != WalletPanel::Closed {
        state.wallet.panel = WalletPanel::Closed;
    } else if state.screen == Screen::Wallet && state.wallet.close_form() {
        // A form was open.
    } else if let Some(screen) = state.trail.pop() {
        state.screen = screen;
        state.list.clear();
    }
}

fn copy_selected(app: &mut DeskApp, ctx: &Context) {
    let Some(subject) = app.state.subject.clone() else { return };
    let text = match &subject {
        Subject::Job(id) => inspector::find_job(app.view(), &app.courier, *id)
            .and_then(|job| serde_json::to_string_pretty(&job).ok()),
        Subject::Payment(key) => inspector::find_payment(app.view(), &app.courier, key)
            .and_then(|payment| serde_json::to_string_pretty(&payment).ok()),
        Subject::Event(position) => match app.courier.event(*position) {
            crate::courier::Load::Ready(event) => Some(event.json.clone()),
            _ => None,
        },
        Subject::Identity => app.view().identity.as_ref().map(|identity| identity.npub.clone()),
    };
    match text {
        Some(text) => {
            ctx.copy_text(text);
            app.say(ctx, "Copied as JSON".into(), true);
        }
        None => app.say(ctx, "It is still being read; try again.".into(), false),
    }
}

fn theme(app: &mut DeskApp, ctx: &Context, preference: ThemePreference) {
    app.state.theme = preference;
    ctx.set_theme(preference);
}

fn zoom(app: &mut DeskApp, ctx: &Context, percent: u16) {
    ctx.set_zoom_factor(f32::from(percent) / 100.0);
    app.say(ctx, format!("Zoom {percent} %"), true);
}

/// Opens the form with the system's dialog for what goes with the job.
fn choose(app: &mut DeskApp, wanted: Wanted) {
    go_buy(app);
    let kind = market::KINDS.get(app.state.market.buy.kind);
    if kind.is_none_or(|kind| kind.attach.wanted() != wanted)
        && let Some(fits) = market::KINDS.iter().rposition(|kind| kind.attach.wanted() == wanted)
    {
        app.state.market.buy.kind = fits;
    }
    let wake = app.wake.clone();
    let chosen = app.chooser.open(wanted, Arc::new(move || wake.call()));
    app.courier.follow_choice(chosen);
}

fn go_buy(app: &mut DeskApp) {
    app.state.go(Screen::Market);
    app.state.market.tab = MarketTab::Buy;
}

fn show_tab(app: &mut DeskApp, tab: MarketTab) {
    app.state.go(Screen::Market);
    app.state.market.tab = tab;
    app.state.close_inspector();
}

fn copy_result(app: &mut DeskApp, ctx: &Context) {
    let Some(Subject::Job(id)) = app.state.subject else { return };
    let job = inspector::find_job(app.view(), &app.courier, id);
    match job.and_then(|job| app.courier.result_here(&job)).as_deref() {
        Some(JobResult::Text { text, .. }) => {
            ctx.copy_text(ResultText::of(text).copied());
            app.say(ctx, "Result copied".into(), true);
        }
        Some(_) => app.say(ctx, "This result is not a text to copy.".into(), false),
        None => app.say(ctx, "It is still being read; try again.".into(), false),
    }
}
