//! Backup: whether the money can be brought back, what is still to be done, and a rehearsal.

use egui::Ui;
use engine::backup::{BackupStatus, Nag, Place, PlaceState, Policy, RehearsalReport};

use crate::{
    actions::ActionId,
    calls::Call,
    courier::Purpose,
    icons::Icon,
    look::{Face, look},
    present::{Tone, words},
    scene::{Act, Scene},
    state::State,
    widgets::{Btn, badge, button, label, notice, panel},
};

pub fn show(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State) {
    let port = scene.courier.port().clone();
    let status = scene.courier.calls.backup.look(&*port);
    if let Some(error) = scene.courier.calls.backup.failed().cloned() {
        match notice::error(ui, "The backup's state could not be read", &error, true) {
            Some(notice::ErrorAnswer::Retry | notice::ErrorAnswer::Dismiss) => {
                scene.courier.calls.backup.changed();
            }
            Some(notice::ErrorAnswer::Copy(text)) => scene.copy("Details", text),
            None => {}
        }
    }
    panel::card(ui, |ui| match &status {
        Some(status) => stands(ui, scene, state, status),
        None if scene.courier.calls.backup.failed().is_some() => {
            label::colored(ui, words::UNKNOWN, Face::Heading, look(ui.ctx()).color.waiting);
        }
        None => notice::loading(ui, "Reading how the backup stands"),
    });
}

/// What is asked of the operator, as one sentence and what to do.
fn nag(nag: Nag) -> (&'static str, &'static str) {
    match nag {
        Nag::PlaceAway => (
            "The place of the backup is away, and payments wait for it.",
            "Bring it back, or choose another place.",
        ),
        Nag::PlaceStale => {
            ("The place of the backup is behind.", "Bring it back; it catches up by itself.")
        }
        Nag::NoPlace => (
            "There are channels and no backup of them: the words alone don't bring them back.",
            "Choose a folder on another disk: pilothouse wallet backup set FOLDER.",
        ),
        Nag::NotStrict => (
            "Channels never start again from a lenient backup.",
            "Make it strict, so that nothing leaves before it is written there.",
        ),
        Nag::SameDisk => (
            "The backup is on the wallet's own disk: one broken disk takes both.",
            "Choose a folder on another disk or another machine.",
        ),
        Nag::WordsNotWrittenDown => (
            "The words of the money are not written down.",
            "Write them on paper and show that you have: pilothouse wallet backup words.",
        ),
        Nag::NeverRehearsed => ("The backup was never rehearsed.", "Rehearse it below."),
        Nag::RehearseAgain => {
            ("The last rehearsal did not pass, or is long ago.", "Rehearse it below.")
        }
        Nag::OfflineTooLong => (
            "The wallet was without its chain for too long for its channels' safety.",
            "Bring it online, and look at the channels' balances.",
        ),
    }
}

fn stands(ui: &mut Ui, scene: &mut Scene<'_>, state: &mut State, status: &BackupStatus) {
    let look = look(ui.ctx());
    ui.horizontal(|ui| {
        if status.nags.is_empty() {
            badge::badge(ui, Tone::Good, "Safe");
            label::title(ui, "The money can be brought back");
        } else {
            badge::badge(ui, Tone::Danger, "Not safe yet");
            let count = words::count(status.nags.len() as u64, "thing");
            label::title(ui, format!("{count} to do"));
        }
    });
    for one in &status.nags {
        let (what, hint) = nag(*one);
        notice::blocker(ui, what, Some(hint));
    }
    if let Some(risk) = &status.offline {
        label::text(ui, words::one_line(&risk.detail));
    }
    label::colored(ui, words::one_line(&status.advice), Face::Body, look.color.muted);
    for one in &status.places {
        place(ui, scene, one);
    }
    ui.add_space(look.space.xs);
    panel::rule(ui);
    ui.add_space(look.space.xs);
    let last = match &status.rehearsed {
        Some(last) => {
            let how = if last.passed { "passed" } else { "did not pass" };
            format!("The last rehearsal {how}, {}.", scene.clock.moment(last.at))
        }
        None => "It was never rehearsed.".into(),
    };
    label::text(ui, last);
    let id = ActionId::RehearseBackup;
    let busy = scene.courier.calls.busy(&Call::Rehearse);
    let none = status.places.is_empty();
    let none = none.then(|| "There is no place to rehearse from yet.".to_owned());
    let tip = button::tooltip(id, scene.mac);
    let rehearse = Btn::new(id.title()).icon(Icon::Refresh).busy(busy).blocked(none);
    if ui.add(rehearse.tooltip(tip)).clicked() {
        scene.act(Act::Run(id));
    }
    label::caption(ui, "No peer is called, and nothing reaches the chain.");
    if let Some(report) = &state.wallet.rehearsal {
        rehearsal(ui, report);
    }
    scene.error_of(ui, state, &Purpose::Call(Call::Rehearse));
}

fn place(ui: &mut Ui, scene: &Scene<'_>, place: &Place) {
    let (words, tone, why) = match &place.state {
        PlaceState::Fresh => ("Has everything", Tone::Good, None),
        PlaceState::NotYet => ("Nothing written yet", Tone::Waiting, None),
        PlaceState::Stale { since, why } => ("Behind", Tone::Danger, Some((since, why))),
        PlaceState::Waiting { since, why } => ("Away", Tone::Danger, Some((since, why))),
    };
    ui.horizontal_wrapped(|ui| {
        badge::badge(ui, tone, words);
        label::mono(ui, words::one_line(&place.path));
        label::muted(
            ui,
            match place.policy {
                Policy::Strict => "strict: payments wait while it is away",
                Policy::Lenient => "lenient: channels never start from it",
            },
        );
    });
    if let Some((since, why)) = why {
        let since = scene.clock.moment(*since);
        label::muted(ui, format!("Since {since}: {}", words::one_line(why)));
    }
    let written = match place.last_write {
        Some(at) => format!("Last written {}", scene.clock.moment(at)),
        None => "Last written: unknown".into(),
    };
    label::caption(ui, format!("{written}, {}.", words::bytes(place.bytes)));
}

fn rehearsal(ui: &mut Ui, report: &RehearsalReport) {
    ui.horizontal(|ui| {
        if report.passed {
            badge::badge(ui, Tone::Good, "Passed");
        } else {
            badge::badge(ui, Tone::Danger, "Did not pass");
        }
        let channels = words::count(report.channels.len() as u64, "channel");
        label::text(
            ui,
            format!(
                "{channels} with {}, {} on-chain, {}.",
                report.in_channels_msat,
                report.onchain_msat,
                words::count(report.payments, "payment"),
            ),
        );
    });
    for difference in &report.differences {
        notice::blocker(ui, &words::one_line(difference), None);
    }
}
