//! Steps through a history that the simulation saved: each action, and what it led to.

use scenarios::sim::History;
use std::{path::PathBuf, process::ExitCode};

const USAGE: &str = "usage: replay FILE [--until STEP]";

fn main() -> ExitCode {
    let (file, until) = match arguments() {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let mut history = match History::load(&file) {
        Ok(history) => history,
        Err(error) => {
            eprintln!("{} is not a saved history: {error}", file.display());
            return ExitCode::from(2);
        }
    };
    let whole = until.is_none_or(|until| until >= history.actions.len());
    if let Some(until) = until {
        history.actions.truncate(until);
    }
    println!("seed {}, {} desks, {:?}", history.seed, history.desks, history.mutant);
    let outcome = history.run(true);
    for (step, told) in outcome.told.iter().enumerate() {
        match history.actions.get(step) {
            Some(action) => println!("{step:4} {action:?}"),
            None if whole => println!("{step:4} rest"),
            None => break,
        }
        for line in told {
            println!("       {line}");
        }
    }
    match outcome.violation {
        // A history cut short was not meant to come to rest.
        Some(_) if !whole && outcome.failed_at == history.actions.len() => ExitCode::SUCCESS,
        Some(found) => {
            println!(
                "step {}: {} does not hold: {}",
                outcome.failed_at, found.invariant, found.detail
            );
            ExitCode::FAILURE
        }
        None => {
            println!("every law holds");
            ExitCode::SUCCESS
        }
    }
}

fn arguments() -> Result<(PathBuf, Option<usize>), String> {
    let (mut file, mut until) = (None, None);
    let mut rest = std::env::args_os().skip(1);
    while let Some(argument) = rest.next() {
        if argument == "--until" {
            let step = rest.next().and_then(|step| step.to_str()?.parse().ok());
            until = Some(step.ok_or("--until needs the number of a step")?);
        } else if file.is_none() {
            file = Some(PathBuf::from(argument));
        } else {
            return Err(USAGE.to_owned());
        }
    }
    file.map(|file| (file, until)).ok_or_else(|| USAGE.to_owned())
}
