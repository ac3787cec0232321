//! Fault points of debug builds: the process ends itself by SIGKILL at the n-th step it takes.
//!
//! `PILOTHOUSE_CRASH_AT=<n>` chooses the step; with `PILOTHOUSE_CRASH_HOW=panic` the step panics
//! instead. Release builds have none of this.

/// Counts one step (a commit, or a dispatch after it) and ends the process there if asked to.
pub fn step() {
    #[cfg(debug_assertions)]
    armed::step();
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    static STEPS: AtomicU64 = AtomicU64::new(0);
    static CRASH_AT: OnceLock<Option<u64>> = OnceLock::new();

    pub fn step() {
        let crash_at = CRASH_AT.get_or_init(|| {
            std::env::var("PILOTHOUSE_CRASH_AT").ok().and_then(|text| text.parse().ok())
        });
        let Some(crash_at) = crash_at else { return };
        if STEPS.fetch_add(1, Ordering::SeqCst) + 1 == *crash_at {
            die();
        }
    }

    fn die() -> ! {
        if std::env::var_os("PILOTHOUSE_CRASH_HOW").is_some_and(|how| how == "panic") {
            panic!("a fault was asked for");
        }
        #[cfg(unix)]
        {
            use rustix::process::{Signal, getpid, kill_process};
            let _dies_here = kill_process(getpid(), Signal::KILL);
        }
        std::process::abort()
    }
}
