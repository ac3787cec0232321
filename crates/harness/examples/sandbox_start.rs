//! How long starting work in the sandbox takes, beside starting it plainly: `cargo run --release
//! -p harness --example sandbox_start`. Rounds are interleaved; the p99 of 60 is the slowest.
#![expect(clippy::disallowed_methods, reason = "a plain start is what is compared with")]

use harness::{
    CancellationToken,
    sandbox::{End, Sandbox, SandboxConfig, Spec},
};
use std::{
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

const ROUNDS: usize = 60;

fn main() -> ExitCode {
    harness::helper_main_if_asked();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_or(ExitCode::FAILURE, |runtime| runtime.block_on(measure()))
}

async fn measure() -> ExitCode {
    let mut sandboxes = Vec::new();
    for name in ["landlock", "bubblewrap"] {
        let only = Some(name.to_owned());
        let sandbox = Sandbox::detect(SandboxConfig { only, ..SandboxConfig::default() }).await;
        match &sandbox.probe().why_not {
            None => sandboxes.push(sandbox),
            Some(why) => println!("{name}: not available: {why}"),
        }
    }
    let mut times = vec![Vec::new(); sandboxes.len() + 1];
    for _ in 0..ROUNDS {
        let started = Instant::now();
        if !Command::new("/bin/true").status().is_ok_and(|status| status.success()) {
            return ExitCode::FAILURE;
        }
        times[0].push(started.elapsed());
        for (index, sandbox) in sandboxes.iter().enumerate() {
            let Ok(scratch) = sandbox.scratch() else { return ExitCode::FAILURE };
            let spec = Spec::command(["/bin/true"]);
            let started = Instant::now();
            let outcome = sandbox.run(&spec, &scratch, &CancellationToken::new()).await;
            times[index + 1].push(started.elapsed());
            if !outcome.is_ok_and(|outcome| outcome.end == End::Exited { code: 0 }) {
                return ExitCode::FAILURE;
            }
        }
    }
    let names = ["plain"].into_iter().chain(sandboxes.iter().map(|s| s.probe().name.as_str()));
    for (name, times) in names.zip(&mut times) {
        times.sort();
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        println!(
            "{name}: p50 {:.2} ms, p99 {:.2} ms",
            ms(times[ROUNDS / 2]),
            ms(times[ROUNDS - 1])
        );
    }
    ExitCode::SUCCESS
}
