//! The real process: ended in order, and killed at any step, it comes back with all that it said.
#![allow(clippy::unwrap_used, reason = "test code outside of a test function")]
#![expect(clippy::disallowed_methods, reason = "starts the program under test")]

mod common;

use common::{Desk, SOON};
use host::ipc::Client;
use pilothouse_practice::Rendezvous;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

struct Process {
    child: Child,
    address: PathBuf,
}

impl Process {
    fn spawn(dir: &Path, crash_at: Option<u32>) -> Self {
        let dir = dir.join("practice");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse-practice"));
        command.arg("--dir").arg(&dir).arg("--exit-with-parent");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(step) = crash_at {
            command.env("PILOTHOUSE_CRASH_AT", step.to_string());
        }
        Self { child: command.spawn().unwrap(), address: dir.join("practice.json") }
    }

    /// What it wrote for desks; none if it ended first.
    async fn ready(&mut self) -> Option<Rendezvous> {
        let started = Instant::now();
        loop {
            // The file of a killed one is not of this one.
            match Rendezvous::read(&self.address) {
                Ok(rendezvous) if rendezvous.pid == self.child.id() => return Some(rendezvous),
                _ => {}
            }
            if self.child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(started.elapsed() < SOON, "it did not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn kill(mut self) {
        // On Unix this is SIGKILL.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn ended(mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < SOON, "it did not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

async fn height(practice: &Rendezvous) -> u64 {
    let control = Client::connect_to(&practice.control).await.unwrap();
    control.call("status", json!({})).await.unwrap()["height"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_its_parent_or_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::spawn(dir.path(), None);
    process.ready().await.unwrap();
    let address = process.address.clone();
    drop(process.child.stdin.take());
    assert!(process.ended().await.success() && !address.exists());
    let mut process = Process::spawn(dir.path(), None);
    let practice = process.ready().await.unwrap();
    let control = Client::connect_to(&practice.control).await.unwrap();
    control.call("shutdown", json!({})).await.unwrap();
    assert!(process.ended().await.success() && !address.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_payments_it_comes_back_with_every_block_and_channel() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::spawn(dir.path(), None);
    let practice = process.ready().await.unwrap();
    let desk = Desk::new(&practice, dir.path().join("desk"), 1).await;
    desk.join(&practice, "desk").await;
    desk.wait_until_usable().await;
    let mut seen = height(&practice).await;
    let had = desk.lightning_sat();
    for round in 1..=3_u64 {
        let control = Client::connect_to(&practice.control).await.unwrap();
        let mined = control.call("mine", json!({ "blocks": 2 })).await.unwrap();
        seen = mined["height"].as_u64().unwrap().max(seen);
        let invoice = desk.invoice(1_000_000).await.to_string();
        let paid = control.call("pay", json!({ "bolt11": invoice })).await.unwrap();
        process.kill();
        process = Process::spawn(dir.path(), None);
        let again = process.ready().await.unwrap();
        assert_eq!(
            again.chain.as_ref().unwrap().rpc_port,
            practice.chain.as_ref().unwrap().rpc_port
        );
        assert_eq!(height(&again).await, seen, "a block that was told of is never lost");
        desk.wait_until_usable().await;
        let control = Client::connect_to(&again.control).await.unwrap();
        let repeated = control.call("pay", json!({ "bolt11": invoice })).await.unwrap();
        assert_eq!(repeated, paid, "what was paid is not paid again");
        assert_eq!(desk.lightning_sat(), had + round * 1_000);
    }
    desk.stop().await;
}

/// A step is before or after a commit of the chain or of the counterparty's node: about fifty are
/// in the start, the others in the desk's joining and its first payment.
#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_of_the_first_minutes_the_next_start_goes_on() {
    killed_at([2, 5, 11, 23, 37, 52, 60, 68, 76, 84]).await;
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: every step"]
async fn killed_at_each_step_of_the_first_minutes_the_next_start_goes_on() {
    killed_at(1..=90).await;
}

async fn killed_at(steps: impl IntoIterator<Item = u32>) {
    for step in steps {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::spawn(dir.path(), Some(step));
        let mut desk = None;
        if let Some(practice) = process.ready().await {
            let joining = Desk::new(&practice, dir.path().join("desk"), 1).await;
            let _killed_on_the_way = joining.try_join(&practice, "desk").await;
            desk = Some(joining);
        }
        assert!(!process.ended().await.success(), "step {step} was reached");
        let mut process = Process::spawn(dir.path(), None);
        let practice =
            process.ready().await.unwrap_or_else(|| panic!("no start after step {step}"));
        let desk = match desk {
            Some(desk) => desk,
            None => Desk::new(&practice, dir.path().join("desk"), 1).await,
        };
        let started = Instant::now();
        while let Err(error) = desk.try_join(&practice, "desk").await {
            assert!(started.elapsed() < SOON, "after step {step}: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        desk.wait_until_usable().await;
        let invoice = desk.invoice(1_000_000).await.to_string();
        let control = Client::connect_to(&practice.control).await.unwrap();
        control.call("pay", json!({ "bolt11": invoice })).await.unwrap();
        assert_eq!(desk.received().await, 1_000_000);
        println!(
            "killed at step {step}: joined and paid {:?} after the restart",
            started.elapsed()
        );
        desk.stop().await;
    }
}
