//! What the frame says around every screen: lanes, badges and the status line.

use engine::view::{RelayState, View};
use serde::Serialize;

use super::{Tone, words};
use crate::{clock::Clock, state::Screen};

/// One lane of work and how it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneChip {
    pub name: &'static str,
    pub state: String,
    pub tone: Tone,
    /// On hover: the reason.
    pub reason: String,
    pub screen: Screen,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FrameData {
    pub lanes: Vec<LaneChip>,
    pub badge: Option<(&'static str, &'static str)>,
    pub identity: String,
    /// What the operator calls this machine.
    pub machine: Option<String>,
    pub backed_up: bool,
    /// What waits for the operator in the Market.
    pub waiting: usize,
    pub last_event: String,
    pub running: String,
    pub budget: String,
    pub log: String,
    pub log_tone: Tone,
    pub dead_letters: u32,
}

impl FrameData {
    pub fn of(view: &View, clock: &Clock) -> Self {
        let running = view.jobs.iter().filter(|job| !job.over).count();
        let (log, log_tone) = log(view, clock);
        Self {
            lanes: lanes(view),
            badge: words::network_badge(view.network),
            identity: super::wallet::identity_short(view),
            machine: super::wallet::machine_name(view),
            backed_up: view.identity.as_ref().is_none_or(|identity| identity.backed_up),
            waiting: view.jobs.iter().filter(|job| words::waits_for_operator(job)).count(),
            last_event: view.log.last.as_ref().map_or_else(
                || "Nothing has happened yet".into(),
                |row| format!("{}  {}", clock.time(row.at), words::one_line(&row.summary)),
            ),
            running: match running {
                0 => "No job running".into(),
                n => words::count(n as u64, "job") + " running",
            },
            budget: format!("{} reserved", view.reserved_msat),
            log,
            log_tone,
            dead_letters: view.log.dead_letters,
        }
    }
}

fn lanes(view: &View) -> Vec<LaneChip> {
    let (selling, selling_tone) = words::provider(view.provider.state);
    let connected = view.relays.iter().filter(|relay| relay.state == RelayState::Connected).count();
    let relay_tone = match (connected, view.relays.len()) {
        (_, 0) => Tone::Neutral,
        (0, _) => Tone::Danger,
        (up, all) if up == all => Tone::Good,
        _ => Tone::Waiting,
    };
    let (wallet, wallet_tone) = words::wallet(view.wallet.state);
    let blockers: Vec<&str> = view.provider.blockers.iter().map(|b| b.message.as_str()).collect();
    let troubles: Vec<String> = view
        .relays
        .iter()
        .filter_map(|relay| relay.detail.as_ref().map(|why| format!("{}: {why}", relay.url)))
        .collect();
    vec![
        LaneChip {
            name: "Selling",
            state: selling.into(),
            tone: selling_tone,
            reason: or(blockers.join("\n"), "Offers are announced and jobs are taken when online"),
            screen: Screen::Desk,
        },
        LaneChip {
            name: "Relays",
            state: format!("{connected} of {}", view.relays.len()),
            tone: relay_tone,
            reason: or(troubles.join("\n"), "Where jobs are seen and results are published"),
            screen: Screen::Desk,
        },
        LaneChip {
            name: "Wallet",
            state: wallet.into(),
            tone: wallet_tone,
            reason: or(
                view.wallet.detail.clone().unwrap_or_default(),
                "A program of its own that holds the money keys",
            ),
            screen: Screen::Wallet,
        },
    ]
}

fn or(text: String, other: &str) -> String {
    if text.is_empty() { other.to_owned() } else { text }
}

fn log(view: &View, clock: &Clock) -> (String, Tone) {
    let events = words::count(view.log.events, "event");
    if view.log.dead_letters > 0 {
        let stuck = words::count(view.log.dead_letters.into(), "effect");
        return (format!("{stuck} gave up"), Tone::Danger);
    }
    match view.log.checkpoint_at {
        Some(at) => (format!("{events}, log signed {}", clock.moment(at)), Tone::Good),
        None => (format!("{events}, log not signed yet"), Tone::Neutral),
    }
}
