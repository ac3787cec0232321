//! Words: the machines' states in the language of people, the same in every place.

use domain::{Msat, Network};
use engine::{
    Renewal,
    command::{DemandAnswer, DemandRisk, PaymentPolicy},
    view::{
        Direction, JobRole, JobView, PaymentState, ProofSource, ProviderState, Rail, RelayState,
        ServiceState, View, WalletState,
    },
};

use super::Tone;

/// What is written where a value is not known.
pub const UNKNOWN: &str = "unknown";

/// A machine's word in sentence case: `waiting_operator` reads "Waiting operator".
pub fn sentence(word: &str) -> String {
    let spaced = word.replace('_', " ");
    let mut letters = spaced.chars();
    match letters.next() {
        None => UNKNOWN.into(),
        Some(first) => first.to_uppercase().chain(letters).collect(),
    }
}

/// Whether the operator must answer before this job goes on.
pub fn waits_for_operator(job: &JobView) -> bool {
    !job.over && job.waiting_for.as_deref() == Some("operator")
}

/// Who must move next, as a screen says it.
pub fn mover(who: &str) -> String {
    match who {
        "us" => "this machine".into(),
        "operator" => "you".into(),
        "buyer" => "the buyer".into(),
        "provider" => "the provider".into(),
        "wallet" => "the wallet".into(),
        other => other.replace('_', " "),
    }
}

pub fn job_tone(job: &JobView) -> Tone {
    if job.over {
        let quiet = ["cancel", "refus", "expired", "declined"];
        return match job.succeeded {
            true => Tone::Good,
            false if quiet.iter().any(|word| job.state.contains(word)) => Tone::Neutral,
            false => Tone::Danger,
        };
    }
    match job.waiting_for.as_deref() {
        Some("operator") => Tone::You,
        Some("us") => Tone::Running,
        _ => Tone::Waiting,
    }
}

pub fn role(role: JobRole) -> &'static str {
    match role {
        JobRole::Provider => "Sold",
        JobRole::Buyer => "Bought",
    }
}

pub fn policy(policy: PaymentPolicy) -> &'static str {
    match policy {
        PaymentPolicy::Before => "paid before work",
        PaymentPolicy::After => "paid on delivery",
    }
}

pub fn risk(risk: DemandRisk) -> (&'static str, &'static str) {
    match risk {
        DemandRisk::Aimed => ("Aimed at us", "The request names this machine"),
        DemandRisk::Open => ("Open to anyone", "The request names nobody"),
        DemandRisk::Starter => ("Starter demand", "The practice network makes first jobs"),
    }
}

/// As [`policy`], where "paid" stands before it already.
pub fn paid_when(policy: PaymentPolicy) -> &'static str {
    match policy {
        PaymentPolicy::Before => "Before work",
        PaymentPolicy::After => "On delivery",
    }
}

pub const ANSWERS: [DemandAnswer; 3] =
    [DemandAnswer::Accept, DemandAnswer::Ask, DemandAnswer::Refuse];

pub fn answer(answer: DemandAnswer) -> &'static str {
    match answer {
        DemandAnswer::Accept => "Accept",
        DemandAnswer::Ask => "Ask me",
        DemandAnswer::Refuse => "Refuse",
    }
}

pub fn provider(state: ProviderState) -> (&'static str, Tone) {
    match state {
        ProviderState::Offline => ("Offline", Tone::Neutral),
        ProviderState::Connecting => ("Connecting", Tone::Waiting),
        ProviderState::Online => ("Online", Tone::Good),
        ProviderState::Degraded => ("Degraded", Tone::Danger),
    }
}

pub fn wallet(state: WalletState) -> (&'static str, Tone) {
    match state {
        WalletState::Unknown => ("Unknown", Tone::Neutral),
        WalletState::Starting => ("Starting", Tone::Waiting),
        WalletState::Syncing => ("Syncing", Tone::Waiting),
        WalletState::Ready => ("Ready", Tone::Good),
        WalletState::NotReachable => ("Not reachable", Tone::Danger),
        WalletState::OtherWallet => ("Another wallet", Tone::Danger),
    }
}

pub fn relay(state: RelayState) -> (&'static str, Tone) {
    match state {
        RelayState::Connecting => ("Connecting", Tone::Waiting),
        RelayState::Connected => ("Connected", Tone::Good),
        RelayState::Disconnected => ("Disconnected", Tone::Danger),
    }
}

pub fn service(state: ServiceState) -> (&'static str, Tone) {
    match state {
        ServiceState::Starting => ("Starting", Tone::Waiting),
        ServiceState::Running => ("Running", Tone::Good),
        ServiceState::Restarting => ("Restarting", Tone::Waiting),
        ServiceState::Stopped => ("Stopped", Tone::Neutral),
        ServiceState::Failed => ("Failed", Tone::Danger),
    }
}

/// The name of one of our own programs.
pub fn service_name(name: &str) -> String {
    match name {
        "executor" => "Wallet program".into(),
        "practice" => "Practice network".into(),
        other => sentence(other),
    }
}

pub fn payment(direction: Direction, state: PaymentState) -> (&'static str, Tone) {
    match (direction, state) {
        (_, PaymentState::Requested) => ("Asking the wallet", Tone::Running),
        (Direction::In, PaymentState::Pending) => ("Waiting for payer", Tone::Waiting),
        (Direction::Out, PaymentState::Pending) => ("On its way", Tone::Running),
        (Direction::In, PaymentState::Settled) => ("Received", Tone::Good),
        (Direction::Out, PaymentState::Settled) => ("Paid", Tone::Good),
        (_, PaymentState::Failed) => ("Failed", Tone::Danger),
        (_, PaymentState::Expired) => ("Expired", Tone::Neutral),
        (_, PaymentState::Unknown) => ("Outcome unknown", Tone::Danger),
        (_, PaymentState::AwaitingApproval) => ("Waiting for you", Tone::You),
    }
}

/// A rail as people know it; the protocol's own term stands in the inspector.
pub fn rail(rail: Rail) -> &'static str {
    match rail {
        Rail::Bolt11 => "Lightning invoice",
        Rail::Bolt12 => "Lightning offer",
        Rail::Onchain => "Bitcoin address",
        Rail::Spark => "Spark",
        Rail::Keysend => "Keysend",
        Rail::Ecash => "Ecash",
    }
}

/// The protocol's own term for a rail.
pub fn rail_term(rail: Rail) -> &'static str {
    match rail {
        Rail::Bolt11 => "Lightning, BOLT 11",
        Rail::Bolt12 => "Lightning, BOLT 12",
        Rail::Onchain => "on-chain",
        Rail::Spark => "Spark",
        Rail::Keysend => "Lightning, keysend",
        Rail::Ecash => "Cashu",
    }
}

/// Whether the wallet has Lightning channels of its own.
pub fn has_channels(view: &View) -> bool {
    view.wallet.backend.as_deref().is_none_or(|backend| backend.starts_with("ldk"))
}

/// How often a budget is free again.
pub fn renewal(renews: Renewal) -> &'static str {
    match renews {
        Renewal::Never => "in all",
        Renewal::Daily => "a day",
        Renewal::Weekly => "a week",
        Renewal::Monthly => "30 days",
        Renewal::Yearly => "365 days",
    }
}

pub fn proof_source(source: ProofSource) -> &'static str {
    match source {
        ProofSource::Local => "local",
        ProofSource::Relay => "relay",
        ProofSource::Wallet => "wallet",
    }
}

/// `PRACTICE`, `REGTEST`, `SIGNET`; mainnet needs no badge.
pub fn network_badge(network: Network) -> Option<(&'static str, &'static str)> {
    match network {
        Network::Practice => {
            Some(("PRACTICE", "Everything is real except the value: these coins are worth nothing"))
        }
        Network::Regtest => Some(("REGTEST", "A private test chain: coins are worth nothing")),
        Network::Signet => Some(("SIGNET", "A public test chain: coins are worth nothing")),
        Network::Mainnet => None,
    }
}

pub fn amount_or_unknown(amount: Option<Msat>) -> String {
    amount.map_or_else(|| UNKNOWN.into(), |amount| amount.to_string())
}

/// `512 bytes`, `12.4 kB`, `2.1 MB`: thousands, as file managers count.
pub fn bytes(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return count(bytes, "byte"),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    format!("{}.{} {name}", grouped(bytes / unit), bytes % unit * 10 / unit)
}

/// What a stranger wrote, over lines: control and direction-changing characters become spaces.
pub fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| if c != '\n' && c != '\t' && is_unsafe(c) { ' ' } else { c })
        .collect()
}

/// Control characters, and those that hide or reorder what is written.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `2,100` or `2100.500`, in sat, as people type it.
pub fn parse_sat(text: &str) -> Result<Msat, String> {
    let refused = || {
        "Write an amount in sat, such as 2100 or 2,100; up to three digits after a point are msat."
            .to_owned()
    };
    let text = text.trim().trim_end_matches("sat").trim_end();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: String =
        whole.chars().filter(|c| !matches!(c, ',' | ' ' | '_' | '\u{202f}')).collect();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(&whole) || !digits(fraction) || fraction.len() > 3 {
        return Err(refused());
    }
    let too_large = |_| "This amount is larger than all the money there is.".to_owned();
    let sat: u64 = whole.parse().map_err(|_| refused())?;
    let rest: u64 = format!("{fraction:0<3}").parse().map_err(|_| refused())?;
    let msat = sat.checked_mul(1_000).and_then(|msat| msat.checked_add(rest)).unwrap_or(u64::MAX);
    Msat::new(msat).map_err(too_large)
}

/// The amount as the field that [`parse_sat`] reads wants it.
pub fn edit_sat(amount: Msat) -> String {
    amount.to_string().trim_end_matches(" sat").to_owned()
}

/// `1 job`, `2 jobs`, `1,204 events`.
pub fn count(n: u64, one: &str) -> String {
    let shown = grouped(n);
    if n == 1 { format!("{shown} {one}") } else { format!("{shown} {one}s") }
}

/// `1,204`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The first and last characters of a long id, joined by an ellipsis.
pub fn middle(text: &str, head: usize, tail: usize) -> String {
    let length = text.chars().count();
    if length <= head + tail + 1 {
        return text.to_owned();
    }
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

/// Text of strangers on one line: control and direction-changing characters become spaces.
pub fn one_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if is_unsafe(c) { ' ' } else { c }).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        let read = |text: &str| parse_sat(text).map(Msat::get);
        assert_eq!(read("2100"), Ok(2_100_000));
        assert_eq!(read(" 2,100 sat "), Ok(2_100_000));
        assert_eq!(read("1.5"), Ok(1_500));
        assert_eq!(read("0.001"), Ok(1));
        for bad in ["", "-1", "1.2345", "1e3", "sat", "٣", ".5", "1..2"] {
            assert!(parse_sat(bad).is_err(), "{bad:?}");
        }
        assert!(parse_sat("99999999999999").unwrap_err().contains("larger"));
        assert!(parse_sat("99999999999999999999999").is_err());
    }

    #[test]
    fn long_ids_and_foreign_text_are_shortened_safely() {
        assert_eq!(middle("abcdefghij", 3, 2), "abc…ij");
        assert_eq!(middle("abcdef", 3, 2), "abcdef");
        assert_eq!(one_line("a\u{202e}b\r\n\tc"), "a b c");
        assert_eq!(sentence("outcome_unknown"), "Outcome unknown");
        assert_eq!(sentence(""), "unknown");
        assert_eq!(lines("a\u{1b}[1m\r\n\tb\u{202e}"), "a [1m\n\tb ");
        let shown = [0, 1, 999, 12_499, 2_100_000, 3_000_000_000].map(bytes);
        assert_eq!(shown, ["0 bytes", "1 byte", "999 bytes", "12.4 kB", "2.1 MB", "3.0 GB"]);
        assert_eq!(count(1, "job"), "1 job");
        assert_eq!(count(1_204, "event"), "1,204 events");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(msat in 0..=domain::money::MAX_MSAT) {
            let amount = Msat::new(msat).unwrap();
            prop_assert_eq!(parse_sat(&edit_sat(amount)), Ok(amount));
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}", head in 0..9_usize, tail in 0..9_usize) {
            let _shown = (parse_sat(&text), middle(&text, head, tail), one_line(&text), sentence(&text));
        }
    }
}
