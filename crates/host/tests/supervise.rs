//! Our own programs: started, told their first line, started again, and ended.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use host::supervise::{Phase, Program, Supervisor, ask};
use std::{path::Path, sync::Arc, time::Duration};

const WITHIN: Duration = Duration::from_secs(10);

fn shell(dir: &Path, script: &str) -> Program {
    Program {
        name: "shell",
        path: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        output: dir.join("output"),
        env: Vec::new(),
    }
}

async fn until(dir: &Path, wanted: &str) {
    let read = async {
        loop {
            let text = std::fs::read_to_string(dir.join("output")).unwrap_or_default();
            if text == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WITHIN, read).await.expect("the program prints what it should");
}

#[tokio::test]
async fn it_is_told_at_each_start_and_ends_with_its_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let script = "read first; echo \"$first\"; read second || echo over";
    let supervisor =
        Supervisor::start_telling(shell(dir.path(), script), Arc::new(|| b"the words\n".to_vec()));
    until(dir.path(), "the words\n").await;
    supervisor.stop().await;
    until(dir.path(), "the words\nover\n").await;
}

#[tokio::test]
async fn one_that_ends_is_started_and_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let script = "read first; echo \"$first\"";
    let supervisor =
        Supervisor::start_telling(shell(dir.path(), script), Arc::new(|| b"again\n".to_vec()));
    until(dir.path(), "again\nagain\n").await;
    supervisor.stop().await;
}

#[tokio::test]
async fn without_a_line_its_standard_input_is_silent() {
    let dir = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::start(shell(dir.path(), "echo up; read first || echo over"));
    until(dir.path(), "up\n").await;
    let mut status = supervisor.status();
    let running = status.wait_for(|status| status.phase == Phase::Running);
    tokio::time::timeout(WITHIN, running).await.unwrap().unwrap();
    supervisor.stop().await;
    until(dir.path(), "up\nover\n").await;
}

#[tokio::test]
async fn a_program_that_is_asked_answers_or_is_ended() {
    let shell = Path::new("/bin/sh");
    let said = ask(shell, &["-c", "echo yes; exit 3"], WITHIN).await.unwrap();
    assert_eq!(said, (false, b"yes\n".to_vec()));
    let late = ask(shell, &["-c", "sleep 60"], Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(late.kind(), std::io::ErrorKind::TimedOut);
    ask(Path::new("/nowhere/at/all"), &[], WITHIN).await.unwrap_err();
}

#[tokio::test]
async fn one_that_ends_badly_says_why_in_its_own_words() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo starting; printf 'an older \\033[1mcopy\\n\\n' >&2; exit 3";
    let supervisor = Supervisor::start(shell(dir.path(), script));
    let mut status = supervisor.status();
    let said = status.wait_for(|status| status.detail.is_some());
    let said = tokio::time::timeout(WITHIN, said).await.unwrap().unwrap().detail.clone().unwrap();
    assert!(said.starts_with("an older [1mcopy (") && said.contains('3'), "{said}");
    supervisor.stop().await;
}
