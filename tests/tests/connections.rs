//! An app of other people pays and is paid through the whole desk, and what it was given is kept
//! nowhere.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use scenarios::{
    desk::{Desk, copy_dir, text},
    programs::{Running, finish, repository, tool},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Stdio,
    time::Duration,
};

/// The next JSON object that the script says.
fn hear(said: &mut impl BufRead) -> Value {
    loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).unwrap() > 0, "the script ended");
        if let Ok(value @ Value::Object(_)) = serde_json::from_str(&line) {
            return value;
        }
    }
}

fn files_with(dir: &Path, secret: &[u8], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files_with(&entry.path(), secret, found);
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            if bytes.windows(secret.len()).any(|window| window == secret) {
                found.push(entry.path().display().to_string());
            }
        }
    }
}

#[test]
fn an_app_pays_within_its_budget_and_its_secret_is_kept_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("app");
    copy_dir(&repository().join("wallet/executor/tests/outside"), &app).unwrap();
    let install = ["install", "--no-package-lock", "--no-audit", "--no-fund"];
    finish(tool("npm").unwrap().args(install).current_dir(&app), Duration::from_secs(180))
        .and_then(|done| done.ok())
        .unwrap();
    let mut desk = Desk::new(dir.path().join("home"));
    desk.start(&[]).unwrap();
    desk.ready(false).unwrap();
    let before = desk.balance_msat().unwrap();

    let terms = ["wallet", "connections", "create", "tea", "--budget-msat", "100000"];
    let terms = terms.into_iter().chain(["--on-limit", "refuse", "--renews", "daily"]);
    let made = desk.cli(terms).unwrap();
    let uri = text(&made["uri"]).unwrap();
    let id = text(&made["connection"]["account"]["account"]["id"]).unwrap();
    let invoice =
        |msat: &str| text(&desk.cli(["practice", "invoice", msat]).unwrap()["bolt11"]).unwrap();
    let told = json!({ "uri": uri, "invoice": invoice("25001"), "too_much": invoice("100001") });

    let mut script = tool("node").unwrap();
    script.arg("app.mjs").current_dir(&app).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = Running::spawn(&mut script).unwrap();
    let mut stdin = running.child.stdin.take().unwrap();
    let mut said = BufReader::new(running.child.stdout.take().unwrap());
    writeln!(stdin, "{told}").unwrap();
    let asked = text(&hear(&mut said)["made"]).unwrap();
    desk.cli(["practice", "pay", &asked]).unwrap();
    let seen = hear(&mut said);
    assert_eq!(seen["refused"], "QUOTA_EXCEEDED", "{seen}");
    assert_eq!(seen["received"]["amount"], 12_000);
    let fee = seen["paid"]["fees_paid"].as_u64().unwrap();
    assert_eq!(desk.balance_msat().unwrap(), before + 12_000 - 25_001 - fee);

    let listed = desk.cli(["wallet", "connections", "list"]).unwrap();
    let view = &listed["connections"][0];
    assert_eq!(view["account"]["account"]["name"], "tea");
    assert_eq!(view["account"]["left_msat"], 100_000 - 25_001 - fee);
    let closed = desk.cli(["wallet", "connections", "close", &id]).unwrap();
    assert_eq!(closed["account"]["closed"], true);
    let refused = desk.run(["wallet", "connections", "close", "nobody"]).unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert!(desk.stop().unwrap().success());

    let secret = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    assert_eq!(secret.len(), 64);
    let mut found = Vec::new();
    files_with(&desk.home, secret.as_bytes(), &mut found);
    assert_eq!(found, Vec::<String>::new(), "the app's secret is in no file");
    desk.verify_log().unwrap();
    desk.verify_wallet_log().unwrap();
    assert_eq!(desk.panics().unwrap(), Vec::<String>::new());
}
