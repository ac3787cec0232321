//! Random histories of whole engines under faults, and worlds that break a law on purpose.

use scenarios::sim::{History, Mutant};
use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Instant,
};

/// Fixed, so that a run finds the same every time; `SIM_SEED` sets another.
const BASE_SEED: u64 = 20_261_120;
const THREADS: usize = 2;

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
    let (events, trades) = (AtomicUsize::new(0), AtomicUsize::new(0));
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
            events.fetch_add(outcome.events, Ordering::Relaxed);
            trades.fetch_add(outcome.trades, Ordering::Relaxed);
            if let Some(found) = outcome.violation {
                broken.push(report(&history, found.invariant, &found.detail));
            }
        }
    };
    let broken: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    println!("{events:?} events, {trades:?} receipts, {:.1?}", started.elapsed());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(trades.into_inner() as u64 > histories / 4, "too few jobs are ever paid");
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
