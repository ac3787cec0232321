//! Random histories of whole engines under faults, and worlds that break a law on purpose.

use scenarios::sim::{History, Mutant};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// Fixed, so that a run finds the same every time; `SIM_SEED` sets another.
const BASE_SEED: u64 = 20_261_120;
const THREADS: usize = 2;

/// What must come about among many histories.
const REACHED: [&str; 42] = [
    "job.received",
    "job.refused",
    "job.accepted",
    "job.invoiced",
    "job.paid",
    "job.started",
    "job.executed",
    "job.delivered",
    "job.failed",
    "job.cancelled",
    "job.unpaid",
    "job.refund_due",
    "job.refunding",
    "job.refund_unknown",
    "job.refund_failed",
    "job.refunded",
    "job.handed_back",
    "job.receipt",
    "buy.submitted",
    "buy.published",
    "buy.working",
    "buy.offer_refused",
    "buy.chosen",
    "buy.unchosen",
    "buy.result",
    "buy.fetched",
    "buy.verified",
    "buy.paying",
    "buy.payment_unknown",
    "buy.paid",
    "buy.doomed",
    "buy.done",
    "buy.failed",
    "buy.cancelled",
    "buy.late_result",
    "buy.receipt",
    "payment.requested",
    "payment.refused",
    "provider.withdrawn",
    "effect.given_up",
    "effect.tried_again",
    "effect.dropped",
];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn failures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sim-failures")
}

/// The whole text for people: what broke, under which seed, and how to look at it.
fn report(history: &History, invariant: &str, detail: &str) -> String {
    let short = history.shortened(invariant);
    let path = short.save(&failures()).expect("the failing history is saved");
    let path = path.canonicalize().unwrap_or(path);
    format!(
        "seed {}: {invariant} does not hold: {detail}\n  {} of {} actions kept; look at it: cargo xtask replay {}",
        history.seed,
        short.actions.len(),
        history.actions.len(),
        path.display()
    )
}

#[test]
fn every_law_holds_in_random_histories() {
    let histories = number("SIM_HISTORIES", 10_000);
    let base = number("SIM_SEED", BASE_SEED);
    println!("{histories} histories from seed {base}");
    let next = AtomicU64::new(0);
    let recorded = Mutex::new(BTreeMap::<String, usize>::new());
    let started = Instant::now();
    let work = || {
        let mut broken = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= histories || broken.len() >= 5 {
                return broken;
            }
            let history = History::of_seed(base + number, None);
            let outcome = history.run(false);
            for (name, count) in outcome.recorded {
                *recorded.lock().unwrap().entry(name).or_default() += count;
            }
            if let Some(found) = outcome.violation {
                broken.push(report(&history, found.invariant, &found.detail));
            }
        }
    };
    let broken: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let recorded = recorded.into_inner().unwrap();
    println!(
        "{} events in {:.1?}: {recorded:#?}",
        recorded.values().sum::<usize>(),
        started.elapsed()
    );
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    // Histories that never get anywhere prove nothing: of enough of them, each word was reached.
    for name in REACHED.iter().filter(|_| histories >= 1_000) {
        assert!(recorded.contains_key(*name), "no history recorded {name}");
    }
}

#[test]
fn every_broken_world_is_noticed_by_the_law_it_breaks() {
    for (mutant, law) in Mutant::ALL {
        let noticed = (0..2_000).find(|number| {
            let outcome = History::of_seed(BASE_SEED + number, Some(mutant)).run(false);
            outcome.violation.is_some_and(|found| found.invariant == law)
        });
        let number = noticed.unwrap_or_else(|| panic!("{law} never noticed {mutant:?}"));
        println!("{law} notices {mutant:?} in history {number}");
    }
}

#[test]
fn a_saved_history_is_the_same_history_again() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..20 {
        let history = History::of_seed(seed, Some(Mutant::WalletLies));
        let path = history.save(dir.path()).unwrap();
        let again = History::load(&path).unwrap();
        assert_eq!(again, history);
        let (one, two) = (history.run(true), again.run(true));
        assert_eq!(one.violation, two.violation);
        assert_eq!(one.told, two.told);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the program under test is started as people do")]
fn the_program_replays_a_failure_step_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::of_seed(BASE_SEED, Some(Mutant::WalletLies));
    let found = history.run(false).violation.unwrap();
    let short = history.shortened(found.invariant);
    assert!(short.actions.len() < history.actions.len());
    let file = short.save(dir.path()).unwrap();
    let replay = |rest: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_replay"));
        command.arg(&file).args(rest).output().unwrap()
    };
    let whole = replay(&[]);
    let text = String::from_utf8(whole.stdout).unwrap();
    assert!(!whole.status.success(), "{text}");
    assert!(text.contains(found.invariant), "{text}");
    let until = short.actions.len() - 1;
    let begun = replay(&["--until", &until.to_string()]);
    assert!(begun.status.success());
    let text = String::from_utf8(begun.stdout).unwrap();
    assert_eq!(text.lines().filter(|line| is_step(line)).count(), until, "{text}");
}

/// Whether a line of the program names a step, not what came of it.
fn is_step(line: &str) -> bool {
    line.get(..4).is_some_and(|number| number.trim().parse::<usize>().is_ok())
}
