//! The long run: two desks trade while processes are killed at moments that a seed chooses.
//!
//! `soak [--minutes N] [--points N] [--seed N] [--dir DIR]` ends at whichever comes first, by
//! default after an hour. Each point checks what the crash matrix checks. Exits with 1 where a
//! promise was broken; the same seed makes the same choices again.

use scenarios::{
    crash::{Matrix, Moment, Who},
    sim::rng::Rng,
};
use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

const USAGE: &str = "soak [--minutes N] [--points N] [--seed N] [--dir DIR]";
/// A pair of desks that came through so many points is stopped, checked at rest, and replaced.
const POINTS_PER_PAIR: usize = 25;
/// A sale takes about half a second, so this reaches past its end.
const LATEST_MS: u32 = 1_500;
/// Each process takes about so many steps while one job is sold and bought.
const LAST_STEP: u32 = 150;

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    within: Duration,
    points: usize,
    seed: u64,
    dir: Option<PathBuf>,
}

fn options() -> anyhow::Result<Options> {
    let seed = u64::from_le_bytes(host::entropy::random_32()?[..8].try_into()?);
    let within = Duration::from_secs(60 * 60);
    let mut options = Options { within, points: usize::MAX, seed, dir: None };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| anyhow::anyhow!(USAGE))?;
        match arg.as_str() {
            "--minutes" => options.within = Duration::from_secs(60 * value.parse::<u64>()?),
            "--points" => options.points = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--dir" => options.dir = Some(value.into()),
            _ => anyhow::bail!(USAGE),
        }
    }
    Ok(options)
}

/// Returns how many promises were broken.
fn run(options: &Options) -> anyhow::Result<usize> {
    println!("seed {}", options.seed);
    let scratch = tempfile::tempdir()?;
    let dir = options.dir.clone().unwrap_or_else(|| scratch.path().to_owned());
    let mut rng = Rng::new(options.seed);
    let mut matrix = Matrix::new(&dir);
    let started = Instant::now();
    let mut broken_at_rest = 0;
    while started.elapsed() < options.within && matrix.lines.len() < options.points {
        let (who, moment) = choice(&mut rng);
        println!("{}", matrix.run(who, moment));
        if matrix.lines.len().is_multiple_of(POINTS_PER_PAIR) {
            broken_at_rest += finish(&mut matrix);
        }
    }
    broken_at_rest += finish(&mut matrix);
    let violations = matrix.violations() + broken_at_rest;
    println!("{} points, {violations} violations, seed {}", matrix.lines.len(), options.seed);
    if violations > 0 && options.dir.is_none() {
        // What the processes wrote tells why.
        println!("the homes are kept in {}", scratch.keep().display());
    }
    Ok(violations)
}

fn choice(rng: &mut Rng) -> (Who, Moment) {
    let who = rng.pick(&Who::ALL);
    let by_step = who != Who::All && rng.chance(30);
    let moment = if by_step {
        Moment::Step(1 + rng.below(LAST_STEP))
    } else {
        Moment::AfterMs(rng.below(LATEST_MS).into())
    };
    (who, moment)
}

/// Ends a pair of desks; says what did not hold once all was at rest.
fn finish(matrix: &mut Matrix<'_>) -> usize {
    match matrix.finish() {
        Ok(()) => 0,
        Err(error) => {
            println!("VIOLATED at the end of a pair: {error:#}");
            1
        }
    }
}
