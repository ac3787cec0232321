//! What becomes of the Wallet's actions and of the wallet's answers.

use egui::{Context, Event, ViewportCommand};
use engine::{
    Command,
    wire::{AccountId, ConnectionCreated},
};
use std::sync::Arc;

use crate::{
    actions::{ActionId, Subject},
    app::DeskApp,
    calls::{Call, Outcome},
    chooser::Wanted,
    courier::{Purpose, unexpected},
    export::{Format, Order},
    frame::inspector,
    present::{payment, words},
    scan::Scan,
    state::{
        AccountForm, ChannelForm, ConnectionForm, LimitsForm, MoveForm, PayForm, Read, ReceiveForm,
        Screen, Shared, WalletPanel, WalletTab,
    },
};

/// Runs an action of the Wallet.
pub fn run(app: &mut DeskApp, ctx: &Context, id: ActionId) {
    match id {
        ActionId::ApprovePayment | ActionId::DenyPayment => {
            if let Some(Subject::Payment(key)) = app.state.subject.clone() {
                let approve = id == ActionId::ApprovePayment;
                let command = Command::WalletAnswer { key: key.clone(), approve };
                app.send(Purpose::Approve(key), command);
            }
            return;
        }
        ActionId::CopyReceipt => return copy_receipt(app, ctx),
        _ => app.state.go(Screen::Wallet),
    }
    match id {
        ActionId::Receive => receive(app),
        ActionId::Pay => pay(app),
        ActionId::ScanImage => {
            pay(app);
            app.state.wallet.pay.focus_text = true;
            ctx.send_viewport_cmd(ViewportCommand::RequestPaste);
        }
        ActionId::ShowPayments => app.state.wallet.tab = WalletTab::Payments,
        ActionId::ShowAccounts => app.state.wallet.tab = WalletTab::Accounts,
        ActionId::ShowLimits => app.state.wallet.tab = WalletTab::Limits,
        ActionId::ShowChannels => app.state.wallet.tab = WalletTab::Channels,
        ActionId::ShowConnections => app.state.wallet.tab = WalletTab::Connections,
        ActionId::ShowBackup => app.state.wallet.tab = WalletTab::Backup,
        ActionId::RehearseBackup => {
            app.state.wallet.tab = WalletTab::Backup;
            app.state.errors.remove(&Purpose::Call(Call::Rehearse));
            app.courier.call(Call::Rehearse, serde_json::json!({}));
        }
        ActionId::OpenChannel => {
            app.state.wallet.tab = WalletTab::Channels;
            app.state.wallet.channel = Some(ChannelForm::default());
        }
        ActionId::ConnectApp => {
            app.state.wallet.tab = WalletTab::Connections;
            app.state.wallet.connection = Some(ConnectionForm::default());
        }
        ActionId::NewAccount => {
            app.state.wallet.tab = WalletTab::Accounts;
            app.state.wallet.account = Some(AccountForm::new());
        }
        ActionId::MoveMoney => {
            app.state.wallet.tab = WalletTab::Accounts;
            app.state.wallet.moving = Some(move_form(app));
        }
        ActionId::ChangeLimits => {
            app.state.wallet.tab = WalletTab::Limits;
            app.state.wallet.limits = Some(LimitsForm::default());
        }
        ActionId::ExportCsv => export(app, Format::Csv),
        ActionId::ExportJson => export(app, Format::Json),
        _ => {}
    }
}

/// From the operator to the first sub-wallet with money of its own.
fn move_form(app: &DeskApp) -> MoveForm {
    let accounts = &app.view().wallet.accounts;
    let own = accounts.iter().find(|one| one.account.isolated && !one.closed);
    let to = own.map_or_else(AccountId::operator, |one| one.account.id.clone());
    MoveForm { to, ..MoveForm::default() }
}

fn receive(app: &mut DeskApp) {
    let rail = app.view().wallet.receives.first().copied().unwrap_or_default();
    let screen = &mut app.state.wallet;
    if screen.panel != WalletPanel::Receive || screen.receive.started.is_some() {
        screen.receive = ReceiveForm { rail, ..ReceiveForm::default() };
    }
    screen.panel = WalletPanel::Receive;
}

fn pay(app: &mut DeskApp) {
    let screen = &mut app.state.wallet;
    if screen.panel != WalletPanel::Pay || screen.pay.started.is_some() {
        screen.pay = PayForm { focus_text: true, ..PayForm::default() };
    }
    screen.panel = WalletPanel::Pay;
}

fn copy_receipt(app: &mut DeskApp, ctx: &Context) {
    let Some(Subject::Payment(key)) = &app.state.subject else { return };
    let network = app.view().network;
    let found = inspector::find_payment(app.view(), &app.courier, key);
    if let Some(found) = found {
        ctx.copy_text(payment::receipt(&found, network));
        app.say(ctx, "Receipt copied".into(), true);
    }
}

fn export(app: &mut DeskApp, format: Format) {
    app.state.wallet.tab = WalletTab::Payments;
    if app.courier.exporting() {
        return;
    }
    let wake = app.wake.clone();
    let wanted = Wanted::Save(format.file_name());
    let chosen = app.chooser.open(wanted, Arc::new(move || wake.call()));
    app.state.wallet.exporting = Some(format);
    app.courier.follow_save(chosen);
}

/// Takes in what has come: a place for an export, an export, a scan, answers of the wallet.
pub fn update(app: &mut DeskApp, ctx: &Context) {
    if let Some(path) = app.courier.take_save()
        && let Some(format) = app.state.wallet.exporting.take()
    {
        let filter = app.state.wallet.filter.clone();
        let order = Order { format, filter, network: app.view().network, at: app.now() };
        let wake = app.wake.clone();
        app.courier.export(order, path, Arc::new(move || wake.call()));
    }
    match app.courier.take_export() {
        Some(Ok((count, path))) => {
            let count = words::count(count as u64, "payment");
            app.say(ctx, format!("{count} written to {}", path.display()), true);
        }
        Some(Err(why)) => app.say(ctx, why, false),
        None => {}
    }
    scan(app, ctx);
    for (call, outcome) in app.courier.calls.outcomes() {
        heard(app, ctx, call, outcome);
    }
}

/// An image that was pasted on the Wallet may hold a code to pay.
fn scan(app: &mut DeskApp, ctx: &Context) {
    if app.state.screen == Screen::Wallet {
        let image = ctx.input(|input| {
            input.raw.events.iter().find_map(|event| match event {
                Event::PasteImage(image) => Some(image.clone()),
                _ => None,
            })
        });
        if let Some(image) = image {
            pay(app);
            let wake = app.wake.clone();
            app.courier.scan(Scan::of(image, move || wake.call()));
        }
    }
    match app.courier.take_scan() {
        Some(Ok(text)) => {
            let account = app.state.wallet.pay.account.clone();
            app.state.wallet.pay = PayForm { text, account, ..PayForm::default() };
        }
        Some(Err(why)) => app.state.wallet.pay.scan_fault = Some(why.to_string()),
        None => {}
    }
}

fn heard(app: &mut DeskApp, ctx: &Context, call: Call, outcome: Outcome) {
    if call == Call::Quote {
        return quoted(app, outcome);
    }
    let value = match outcome {
        Ok(value) => value,
        Err(error) => return app.refused(ctx, &Purpose::Call(call), error),
    };
    app.courier.calls.changed();
    let screen = &mut app.state.wallet;
    let said = match call {
        Call::Quote => return,
        Call::QuoteChannel => {
            if let Some(form) = &mut screen.channel {
                form.quote = serde_json::from_value(value).ok();
            }
            return;
        }
        Call::OpenChannel => {
            screen.channel = None;
            "Channel asked for"
        }
        Call::CloseChannel(_) => {
            screen.closing = None;
            "Channel is being closed"
        }
        Call::CreateConnection => {
            screen.connection = None;
            let made = serde_json::from_value::<ConnectionCreated>(value).ok();
            screen.shared = made.map(|made| Shared {
                name: words::one_line(&made.connection.account.account.name),
                uri: made.uri,
            });
            "App connected"
        }
        Call::Rehearse => {
            screen.rehearsal = serde_json::from_value(value).ok();
            "Rehearsal is over"
        }
        Call::CloseConnection(_) => {
            screen.confirm_close = None;
            "Connection closed"
        }
        Call::SetLimits => {
            screen.limits = None;
            "Limits changed"
        }
        Call::SetAccount => {
            screen.account = None;
            "Sub-wallet kept"
        }
        Call::CloseAccount(_) => {
            screen.confirm_close = None;
            "Sub-wallet closed"
        }
        Call::Move => {
            screen.moving = None;
            "Money moved"
        }
    };
    app.say(ctx, said.into(), true);
}

/// What the wallet reads of the pasted text. The same call may have been of an older text.
fn quoted(app: &mut DeskApp, outcome: Outcome) {
    let form = &mut app.state.wallet.pay;
    if form.asked.is_none() || form.read.is_some() {
        return;
    }
    let read = outcome.and_then(|value| {
        let lnurl = value.get("lnurl").cloned().and_then(|of| serde_json::from_value(of).ok());
        let quote = serde_json::from_value(value).map_err(|_| unexpected())?;
        Ok(Read { quote, lnurl: lnurl.flatten() })
    });
    match &read {
        Ok(read) if form.max_fee.is_empty() => {
            form.max_fee = words::edit_sat(read.quote.max_fee_msat);
        }
        Err(error) if error.code == "amount_needed" => form.needs_amount = true,
        _ => {}
    }
    form.read = Some(read);
}
