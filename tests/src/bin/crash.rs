//! The crash matrix: kills every process at every step it takes, restarts, and checks each promise.
//!
//! `crash [--full] [--dir DIR] [--stride N] [--from WHO] [WHO STEP]`. Exits with 1 where a promise
//! was broken.

use scenarios::crash::{Matrix, Moment, Reached, Who};
use std::{path::PathBuf, process::ExitCode};

/// A process takes fewer steps than this while it sells or buys one job.
const MOST_STEPS: u32 = 400;
const MOMENTS_MS: [u64; 8] = [0, 20, 60, 120, 200, 300, 420, 600];

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    full: bool,
    stride: u32,
    dir: Option<PathBuf>,
    /// Begins with this one, in the order of [`Who::ALL`].
    from: Who,
    only: Option<(Who, u32)>,
}

fn options() -> anyhow::Result<Options> {
    let mut options =
        Options { full: false, stride: 3, dir: None, from: Who::Provider, only: None };
    let mut args = std::env::args().skip(1);
    let missing =
        || anyhow::anyhow!("crash [--full] [--dir DIR] [--stride N] [--from WHO] [WHO STEP]");
    let who = |name: &str| Who::ALL.into_iter().find(|who| format!("{who:?}") == name);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--full" => options.full = true,
            "--dir" => options.dir = Some(args.next().ok_or_else(missing)?.into()),
            "--stride" => {
                options.stride = args.next().ok_or_else(missing)?.parse::<u32>()?.max(1);
            }
            "--from" => {
                options.from = args.next().as_deref().and_then(who).ok_or_else(missing)?;
            }
            name => {
                let step = args.next().ok_or_else(missing)?.parse()?;
                options.only = Some((who(name).ok_or_else(missing)?, step));
            }
        }
    }
    Ok(options)
}

fn run() -> anyhow::Result<usize> {
    let options = options()?;
    let scratch = tempfile::tempdir()?;
    let dir = options.dir.as_deref().unwrap_or(scratch.path());
    let mut matrix = Matrix::new(dir);
    if let Some((who, step)) = options.only {
        println!("{}", matrix.run(who, Moment::Step(step)));
    } else {
        let stride = if options.full { options.stride } else { options.stride * 8 };
        steps(&mut matrix, options.from, stride);
        moments(&mut matrix, if options.full { 1 } else { 4 });
    }
    let ended = matrix.finish();
    let (points, violations) = (matrix.lines.len(), matrix.violations());
    println!("{points} points, {violations} violations");
    ended?;
    if options.full && options.from == Who::Provider {
        anyhow::ensure!(points >= 60, "a full run has 60 points or more: lower --stride");
    }
    Ok(violations)
}

/// Each process that counts its steps, from the first on, until a job is over before the step.
fn steps(matrix: &mut Matrix<'_>, from: Who, stride: u32) {
    let armed = Who::ALL.into_iter().skip_while(|who| *who != from).filter(|who| *who != Who::All);
    for who in armed {
        for step in (1..MOST_STEPS).step_by(stride as usize) {
            let line = matrix.run(who, Moment::Step(step));
            println!("{line}");
            if matches!(line.outcome, Ok(Reached::Never)) {
                break;
            }
        }
    }
}

/// Killed from outside at chosen moments of the job, also several at once.
fn moments(matrix: &mut Matrix<'_>, stride: usize) {
    for who in [Who::Practice, Who::BothWallets, Who::All] {
        for ms in MOMENTS_MS.into_iter().step_by(stride) {
            println!("{}", matrix.run(who, Moment::AfterMs(ms)));
        }
    }
}
