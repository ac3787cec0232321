//! What both test programs of the sandbox need.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "helpers of tests")]

use harness::{
    CancellationToken,
    sandbox::{Outcome, Sandbox, SandboxConfig, Scratch, Spec},
};
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::PathBuf,
    process::Command,
};

/// Set when a test program runs itself again as an ordinary user.
const HELPER: &str = "HARNESS_TEST_HELPER";

fn helper() -> PathBuf {
    std::env::var_os(HELPER)
        .map_or_else(|| env!("CARGO_BIN_EXE_harness-helper").into(), PathBuf::from)
}

pub fn config(only: &str) -> SandboxConfig {
    SandboxConfig { helper: Some(helper()), only: Some(only.into()), ..SandboxConfig::default() }
}

/// Every backend that works here. One must, or nothing below is shown.
pub async fn sandboxes() -> Vec<Sandbox> {
    let mut all = Vec::new();
    for name in ["bubblewrap", "landlock"] {
        let sandbox = Sandbox::detect(config(name)).await;
        eprintln!("{:?}", sandbox.probe());
        if sandbox.probe().available {
            all.push(sandbox);
        }
    }
    assert!(!all.is_empty(), "no sandbox works here");
    all
}

pub fn sh(script: &str) -> Spec {
    Spec::command(["/bin/sh", "-c", script])
}

pub async fn run(sandbox: &Sandbox, spec: &Spec) -> (Outcome, Scratch) {
    let scratch = sandbox.scratch().unwrap();
    let outcome = sandbox.run(spec, &scratch, &CancellationToken::new()).await.unwrap();
    (outcome, scratch)
}

pub fn text(outcome: &Outcome) -> String {
    format!(
        "{:?}\n{}{}",
        outcome.end,
        String::from_utf8_lossy(&outcome.stdout.bytes),
        String::from_utf8_lossy(&outcome.stderr.bytes)
    )
}

/// Runs this whole test program again as an ordinary user, where we are root.
pub fn run_again_as_an_ordinary_user() {
    const USER: u32 = 54_321;
    if fs::metadata("/proc/self").unwrap().uid() != 0 || std::env::var_os(HELPER).is_some() {
        return;
    }
    let place = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = |from: PathBuf, name: &str| {
        let to = place.path().join(name);
        fs::copy(from, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
        to
    };
    let tests = copy(std::env::current_exe().unwrap(), "tests");
    let helper = copy(helper(), "helper");
    let output = Command::new(tests)
        .args(["--test-threads", "1"])
        .env(HELPER, helper)
        .current_dir("/")
        .uid(USER)
        .gid(USER)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
