//! The sandbox on Linux: bubblewrap where it works, else Landlock, both with seccomp and limits.

mod bubblewrap;
mod cgroup;
mod confine;
mod held;
mod identity;
mod inner;
mod run;
mod scratch;
mod seccomp;
mod supervise;
mod tree;
mod watch;
mod wire;

pub use run::Sandbox;
pub use scratch::Scratch;

const SUPERVISE_STAGE: &str = "__sandbox";
const INNER_STAGE: &str = "__sandbox-inner";

/// Runs a helper stage when `name` is one; its exit code.
pub(crate) fn helper_stage(name: &str) -> Option<i32> {
    match name {
        SUPERVISE_STAGE => Some(supervise::main()),
        INNER_STAGE => Some(inner::main()),
        _ => None,
    }
}
