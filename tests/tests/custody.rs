//! Another wallet in the place of the desk's own, and a vault that is gone: nothing is paid, nothing is
//! made anew in silence.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use scenarios::{
    desk::{Desk, text},
    programs::{Finished, until},
};
use serde_json::json;
use std::{fs, time::Duration};

const WITHIN: Duration = Duration::from_secs(60);

fn code(done: &Finished) -> String {
    assert!(!done.status.success(), "{}", done.stdout);
    text(&done.json().unwrap()["error"]["code"]).unwrap()
}

fn wallet_state_is(desk: &Desk, state: &str) {
    until(state, WITHIN, || Ok(desk.status()?["wallet"]["state"] == state)).unwrap();
}

#[test]
fn another_wallet_is_never_taken_for_the_desks_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(dir.path().join("home"));
    let (own, aside, new) =
        (desk.home.join("wallet"), desk.home.join("wallet.own"), desk.home.join("wallet.new"));
    desk.start(&[]).unwrap();
    desk.ready(false).unwrap();
    let balance = desk.balance_msat().unwrap();
    let fingerprint = text(&desk.status().unwrap()["wallet"]["fingerprint"]).unwrap();
    let invoice = desk.cli(["practice", "invoice", "2000000"]).unwrap();
    let bolt11 = text(&invoice["bolt11"]).unwrap();
    assert!(desk.stop().unwrap().success());
    desk.at_rest().unwrap();

    // The whole folder is gone: the executor starts with a new seed, as in a new home.
    fs::rename(&own, &aside).unwrap();
    desk.start(&[]).unwrap();
    wallet_state_is(&desk, "other_wallet");
    let seen = desk.status().unwrap()["wallet"].clone();
    let other = text(&seen["other"]).unwrap();
    assert_ne!(other, fingerprint);
    assert_eq!(seen["fingerprint"], fingerprint.as_str());
    assert_eq!(seen["balance_msat"], json!(null), "no balance of it is shown as ours");
    assert!(text(&seen["detail"]).unwrap().contains(&other), "{seen}");
    assert_eq!(code(&desk.run(["wallet", "pay", &bolt11]).unwrap()), "other_wallet");
    assert_eq!(code(&desk.run(["wallet", "receive", "1000"]).unwrap()), "other_wallet");
    let wrong = desk.run(["wallet", "accept", &fingerprint]).unwrap();
    assert_eq!(code(&wrong), "other_fingerprint");
    assert!(desk.stop().unwrap().success());
    desk.at_rest().unwrap();

    // The old one is back: nothing has changed, and it pays.
    fs::rename(&own, &new).unwrap();
    fs::rename(&aside, &own).unwrap();
    desk.start(&[]).unwrap();
    desk.ready(false).unwrap();
    assert_eq!(desk.balance_msat().unwrap(), balance);
    assert_eq!(desk.cli(["wallet", "pay", &bolt11]).unwrap()["state"], "settled");
    assert!(desk.stop().unwrap().success());
    desk.at_rest().unwrap();

    // The other one again, and this time the operator means it.
    fs::rename(&own, &aside).unwrap();
    fs::rename(&new, &own).unwrap();
    desk.start(&[]).unwrap();
    wallet_state_is(&desk, "other_wallet");
    desk.cli(["wallet", "accept", &other]).unwrap();
    desk.ready(false).unwrap();
    assert_eq!(desk.status().unwrap()["wallet"]["fingerprint"], other.as_str());
    assert!(desk.stop().unwrap().success());
    desk.at_rest().unwrap();

    // Only its vault is gone: no new seed in its place.
    fs::rename(own.join("vault"), own.join("vault.gone")).unwrap();
    desk.start(&[]).unwrap();
    until("it says why", WITHIN, || {
        Ok(fs::read_to_string(own.join("wallet.out"))?.contains("the vault with its seed is gone"))
    })
    .unwrap();
    assert!(desk.stop().unwrap().success());
    assert!(!own.join("vault").exists(), "no new seed was made");
    desk.verify_log().unwrap();
}
