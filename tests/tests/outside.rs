//! A plain client that shares no code with us buys a job and pays for it from outside.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use scenarios::{
    desk::{Desk, text},
    programs::{desk_program, finish, repository, tool},
};
use sha2::{Digest, Sha256};
use std::time::Duration;

#[test]
fn a_client_of_nostr_tools_buys_a_job() {
    let dir = tempfile::tempdir().unwrap();
    let client = dir.path().join("client");
    scenarios::desk::copy_dir(&repository().join("tests/outside"), &client).unwrap();
    let install = ["install", "--no-package-lock", "--no-audit", "--no-fund"];
    finish(tool("npm").unwrap().args(install).current_dir(&client), Duration::from_secs(180))
        .and_then(|done| done.ok())
        .unwrap();

    let mut desk = Desk::new(dir.path().join("home"));
    desk.start(&[]).unwrap();
    desk.ready(true).unwrap();
    let status = desk.status().unwrap();
    let relay = text(&status["relays"][0]["url"]).unwrap();
    let before = desk.balance_msat().unwrap();

    let mut buy = tool("node").unwrap();
    buy.arg("buy.mjs").args([&relay, &desk.pubkey().unwrap()]);
    buy.arg(desk_program().unwrap()).arg("--home").arg(&desk.home);
    buy.args(["--json", "practice", "pay"]).current_dir(&client);
    let bought = finish(&mut buy, Duration::from_secs(120)).unwrap().ok().unwrap().json().unwrap();

    let content = text(&bought["content"]).unwrap();
    assert!(content.contains("Bought from outside"), "{bought}");
    assert!(content.contains("Plain Markdown."), "{bought}");
    let id = text(&bought["request_id"]).unwrap();
    desk.wait(&format!("job={id}:succeeded"), 30).unwrap();
    let sold = desk.job(&id).unwrap();
    assert_eq!(sold["amount_msat"], bought["amount_msat"]);
    assert_eq!(sold["bolt11"], bought["bolt11"]);
    assert_eq!(sold["result_sha256"], bought["content_sha256"], "{sold}");
    let preimage = hex_bytes(&text(&sold["preimage"]).unwrap());
    let hash: String = Sha256::digest(preimage).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sold["payment_hash"], hash);
    let earned = bought["amount_msat"].as_u64().unwrap();
    assert_eq!(desk.balance_msat().unwrap(), before + earned);
    assert_eq!(desk.verify_receipts().unwrap(), 1);
    assert!(desk.stop().unwrap().success());
    desk.verify_log().unwrap();
    assert_eq!(desk.panics().unwrap(), Vec::<String>::new());
}

fn hex_bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
