//! One history: run, made short where it fails, kept as JSON lines, and run again from them.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use super::{
    action::Action,
    choose,
    invariants::{self, Violation},
    mutant::Mutant,
    world::World,
};

/// Everything that a run follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub seed: u64,
    pub desks: usize,
    pub mutant: Option<Mutant>,
    pub actions: Vec<Action>,
}

/// What one run came to.
pub struct Outcome {
    pub violation: Option<Violation>,
    /// The step that failed: `actions.len()` is the rest at the end.
    pub failed_at: usize,
    /// What happened in each step, where that was asked for.
    pub told: Vec<Vec<String>>,
    /// How many events of each type were recorded, where all went well.
    pub recorded: BTreeMap<String, usize>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    seed: u64,
    desks: usize,
    mutant: Option<Mutant>,
    invariant: Option<String>,
    detail: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    step: usize,
    action: Option<Action>,
    told: Vec<String>,
}

impl History {
    pub fn of_seed(seed: u64, mutant: Option<Mutant>) -> Self {
        let (desks, actions) = choose::history(seed);
        Self { seed, desks, mutant, actions }
    }

    /// Runs it; a panic is a violation like another.
    pub fn run(&self, tells: bool) -> Outcome {
        let mut outcome =
            Outcome { violation: None, failed_at: 0, told: Vec::new(), recorded: BTreeMap::new() };
        let ran = catch_unwind(AssertUnwindSafe(|| self.run_into(tells, &mut outcome)));
        let violation = match ran {
            Ok(checked) => checked.err(),
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied());
                Some(invariants::broken("never_panics", text.unwrap_or("it panicked")))
            }
        };
        Outcome { violation, ..outcome }
    }

    fn run_into(&self, tells: bool, outcome: &mut Outcome) -> invariants::Checked {
        let mut world = World::new(self.desks, self.mutant)?;
        world.told = tells.then(Vec::new);
        for step in 0..=self.actions.len() {
            outcome.failed_at = step;
            let checked = match self.actions.get(step) {
                Some(action) => world.step(action),
                None => world.rest(),
            };
            if let Some(told) = &mut world.told {
                outcome.told.push(std::mem::take(told));
            }
            checked?;
        }
        outcome.recorded = world.recorded;
        Ok(())
    }

    /// A shorter history that breaks the same law.
    #[must_use]
    pub fn shortened(&self, invariant: &str) -> Self {
        let mut best = self.clone();
        let still = |history: &Self| {
            history.run(false).violation.is_some_and(|found| found.invariant == invariant)
        };
        let mut chunk = best.actions.len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            while at < best.actions.len() {
                let mut shorter = best.clone();
                let end = (at + chunk).min(shorter.actions.len());
                shorter.actions.drain(at..end);
                if still(&shorter) {
                    best = shorter;
                } else {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
        best
    }

    /// Keeps the history as JSON lines in `dir`, each step with what it led to.
    pub fn save(&self, dir: &Path) -> io::Result<PathBuf> {
        let outcome = self.run(true);
        let head = Head {
            seed: self.seed,
            desks: self.desks,
            mutant: self.mutant,
            invariant: outcome.violation.as_ref().map(|found| found.invariant.to_owned()),
            detail: outcome.violation.map(|found| found.detail),
        };
        let mut text = serde_json::to_string(&head)? + "\n";
        let mut told = outcome.told.into_iter();
        for (step, action) in self.actions.iter().enumerate() {
            let told = told.next().unwrap_or_default();
            text += &serde_json::to_string(&Line { step, action: Some(action.clone()), told })?;
            text.push('\n');
        }
        let last = Line { step: self.actions.len(), action: None, told: told.flatten().collect() };
        text += &serde_json::to_string(&last)?;
        text.push('\n');
        fs::create_dir_all(dir)?;
        let path = dir.join(format!("seed-{}.jsonl", self.seed));
        fs::write(&path, text)?;
        Ok(path)
    }

    /// A history that was kept by [`History::save`].
    pub fn load(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let mut lines = text.lines();
        let head: Head = serde_json::from_str(lines.next().unwrap_or_default())?;
        let mut actions = Vec::new();
        for line in lines {
            let line: Line = serde_json::from_str(line)?;
            actions.extend(line.action);
        }
        Ok(Self { seed: head.seed, desks: head.desks, mutant: head.mutant, actions })
    }
}
