//! What opening the desk costs: processor time and memory until its window shows something, and rest.
//!
//! `start [--peer PROGRAM] [--rounds N] [--settle SECS] [--idle SECS]` prints one JSON object. The
//! peer is a window to compare with, the Rerun viewer: it runs in turn with the desk on the same
//! virtual screen, is drawn at the same size and is looked at by the same eyes.

use anyhow::{Context, bail, ensure};
use scenarios::{
    desk::{Desk, path_text},
    programs::{Running, desk_program, finish, libexec, repository, until},
    screen::Screen,
    usage::{self, Usage},
};
use serde_json::{Map, Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// Larger than what is drawn, so that no part of a window is off the screen.
const SCREEN: &str = "1600x1000";
/// The desk's own size; the peer is asked for the same.
const WINDOW: &str = "1280x800";
/// A window with more colours than these shows content: a blank one has one or two.
const COLOURS: usize = 8;
const LOOK_EVERY: Duration = Duration::from_millis(4);
const CONTENT_WITHIN: Duration = Duration::from_secs(60);
const CLOSED_WITHIN: Duration = Duration::from_secs(30);
const USAGE: &str = "start [--peer PROGRAM] [--rounds N] [--settle SECS] [--idle SECS]";

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    peer: Option<PathBuf>,
    rounds: usize,
    settle: Duration,
    idle: Duration,
}

fn options() -> anyhow::Result<Options> {
    let secs = Duration::from_secs;
    let mut options = Options { peer: None, rounds: 5, settle: secs(8), idle: secs(10) };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().context(USAGE)?;
        match arg.as_str() {
            "--peer" => options.peer = Some(value.into()),
            "--rounds" => options.rounds = value.parse::<usize>()?.max(1),
            "--settle" => options.settle = secs(value.parse()?),
            "--idle" => options.idle = secs(value.parse()?),
            _ => bail!(USAGE),
        }
    }
    Ok(options)
}

/// What one start came to. `window` is the process with the window; `tree` is it with all that it
/// started.
struct Start {
    wall: Duration,
    window: Usage,
    tree: Usage,
    idle_window: Duration,
    idle_tree: Duration,
}

/// The starts of one program, in order.
type Starts = Vec<Start>;

fn run(options: &Options) -> anyhow::Result<Value> {
    let screen = Screen::start(SCREEN)?;
    let dir = tempfile::tempdir()?;
    let used = dir.path().join("used");
    eprintln!("a home with real jobs, payments and receipts: `demo` …");
    let packed = repository().join("tests");
    finish(desk(&used)?.args(["demo", "--path", path_text(&packed)?]), Duration::from_secs(180))?
        .ok()?;
    let (mut on_used, mut on_fresh, mut peers): (Starts, Starts, Starts) = Default::default();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        on_used.push(desk_start(&screen, &used, options).context("the desk, on a used home")?);
        if let Some(peer) = &options.peer {
            peers.push(peer_start(&screen, peer, options).context("the peer")?);
        }
        let fresh = dir.path().join(format!("fresh-{round}"));
        on_fresh.push(desk_start(&screen, &fresh, options).context("the desk, on a fresh home")?);
    }
    let mut report = json!({
        "rounds": options.rounds,
        "settle_s": options.settle.as_secs(),
        "idle_s": options.idle.as_secs(),
        "window": WINDOW,
        "used_home": figures(&on_used),
        "fresh_home": figures(&on_fresh),
    });
    if let Some(peer) = &options.peer {
        report["peer"] = figures(&peers);
        report["peer"]["version"] = version(peer)?.into();
        report["ratio"] = json!({ "used_home": ratios(&on_used, &peers), "fresh_home": ratios(&on_fresh, &peers) });
    }
    Ok(report)
}

/// The desk's program, as an operator has it: the log level is the usual one.
#[expect(clippy::disallowed_methods, reason = "a development tool that starts our programs")]
fn desk(home: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(desk_program()?);
    command.env("PILOTHOUSE_LIBEXEC", libexec()?).env_remove("PILOTHOUSE_LOG");
    command.args(["--json", "--home"]).arg(home);
    Ok(command)
}

fn desk_start(screen: &Screen, home: &Path, options: &Options) -> anyhow::Result<Start> {
    let mut command = desk(home)?;
    command.arg("up");
    let start = measured(screen, &mut command, options, || {
        for condition in ["wallet=ready", "balance>=1"] {
            let wait = ["wait", condition, "--timeout", "90"];
            finish(desk(home)?.args(wait), Duration::from_secs(100))?.ok()?;
        }
        Ok(())
    })?;
    Desk::new(home).at_rest()?;
    Ok(start)
}

#[expect(clippy::disallowed_methods, reason = "a development tool that starts what it compares")]
fn peer_start(screen: &Screen, peer: &Path, options: &Options) -> anyhow::Result<Start> {
    let mut command = Command::new(peer);
    command.args(["--window-size", WINDOW]);
    measured(screen, &mut command, options, || Ok(()))
}

#[expect(clippy::disallowed_methods, reason = "a development tool that starts what it compares")]
fn version(peer: &Path) -> anyhow::Result<String> {
    let said = finish(Command::new(peer).arg("--version"), Duration::from_secs(20))?.ok()?.stdout;
    // Its name and number; what it was built with comes behind.
    Ok(said.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// Starts a program, measures it when its window shows something and over `idle` once it has
/// settled, and closes the window.
fn measured(
    screen: &Screen,
    command: &mut Command,
    options: &Options,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Start> {
    command.env("DISPLAY", &screen.display).env_remove("WAYLAND_DISPLAY");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut running = Running::spawn(command)?;
    let pid = running.child.id();
    let window = loop {
        if let Some(window) = drawn(screen)? {
            break window;
        }
        ensure!(running.is_running(), "it ended before it showed anything");
        ensure!(begun.elapsed() < CONTENT_WITHIN, "nothing was shown in {CONTENT_WITHIN:?}");
        std::thread::sleep(LOOK_EVERY);
    };
    let wall = begun.elapsed();
    let (window_then, tree_then) = (usage::alone(pid)?, usage::tree(pid));
    ready()?;
    std::thread::sleep(options.settle);
    let (window_before, tree_before) = (usage::cpu(pid)?, usage::tree(pid).cpu);
    std::thread::sleep(options.idle);
    let idle_window = usage::cpu(pid)?.saturating_sub(window_before);
    let idle_tree = usage::tree(pid).cpu.saturating_sub(tree_before);
    screen.close(window)?;
    running.wait(CLOSED_WITHIN)?.context("it did not close its window")?;
    until("its window is gone", CLOSED_WITHIN, || Ok(screen.windows()?.is_empty()))?;
    Ok(Start { wall, window: window_then, tree: tree_then, idle_window, idle_tree })
}

/// The window that shows something. One that goes while it is looked at shows nothing.
fn drawn(screen: &Screen) -> anyhow::Result<Option<u32>> {
    let shows = |window: &u32| screen.colours(*window, COLOURS).is_ok_and(|seen| seen > COLOURS);
    Ok(screen.windows()?.into_iter().find(shows))
}

type Measure = (&'static str, fn(&Start) -> f64);

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

const MEASURES: [Measure; 7] = [
    ("wall_ms", |start| ms(start.wall)),
    ("cpu_ms", |start| ms(start.window.cpu)),
    ("tree_cpu_ms", |start| ms(start.tree.cpu)),
    ("pss_mib", |start| mib(start.window.pss_bytes)),
    ("tree_pss_mib", |start| mib(start.tree.pss_bytes)),
    ("idle_cpu_ms", |start| ms(start.idle_window)),
    ("idle_tree_cpu_ms", |start| ms(start.idle_tree)),
];

/// Minimum, median and maximum of each measure.
fn figures(starts: &Starts) -> Value {
    let measures = MEASURES.iter().map(|(name, of)| {
        let (min, median, max) = spread(starts.iter().map(of).collect());
        ((*name).to_owned(), json!({ "min": min, "median": median, "max": max }))
    });
    Value::Object(measures.collect::<Map<_, _>>())
}

/// Median of the rounds' ratios, ours to the peer's, of what has a counterpart there.
fn ratios(ours: &Starts, peers: &Starts) -> Value {
    let compared = MEASURES.iter().map(|(name, of)| {
        let pairs = ours.iter().zip(peers).map(|(ours, peer)| of(ours) / of(peer));
        ((*name).to_owned(), json!(spread(pairs.collect()).1))
    });
    Value::Object(compared.collect::<Map<_, _>>())
}

fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let rounded = |at: usize| values.get(at).map_or(0.0, |value| (value * 1e3).round() / 1e3);
    (rounded(0), rounded(values.len() / 2), rounded(values.len().saturating_sub(1)))
}
