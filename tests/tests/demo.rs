//! `pilothouse demo` from a fresh home: three paid jobs, balances to the msat, receipts, sound logs.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use lightning_invoice::Bolt11Invoice;
use scenarios::{
    desk::{Desk, path_text},
    programs::{repository, until},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a number: {value}"))
}

fn bytes(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap_or_else(|| panic!("not a text: {value}"));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn one_command_sells_and_buys_one_job_of_each_kind() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::new(dir.path().join("home"));
    let packed = repository().join("tests");
    let demo = desk.run(["demo", "--path", path_text(&packed).unwrap()]).unwrap().ok().unwrap();
    assert_eq!(demo.stdout.lines().count(), 1, "one JSON object: {}", demo.stdout);
    let report = demo.json().unwrap();
    assert_eq!(report["network"], "practice");

    let jobs = report["jobs"].as_array().unwrap();
    let kinds: Vec<_> = jobs.iter().map(|job| number(&job["kind"])).collect();
    assert_eq!(kinds, [5930, 5931, 5000]);
    let (mut earned, mut fees) = (0, 0);
    for job in jobs {
        assert_eq!(job["state"], "done", "{job}");
        let hash = bytes(&job["payment_hash"]);
        assert_eq!(Sha256::digest(bytes(&job["preimage"])).as_slice(), hash);
        let invoice: Bolt11Invoice = job["bolt11"].as_str().unwrap().parse().unwrap();
        assert_eq!(AsRef::<[u8]>::as_ref(invoice.payment_hash()), hash);
        assert_eq!(invoice.amount_milli_satoshis(), Some(number(&job["amount_msat"])));
        assert!(number(&job["amount_msat"]) > 0);
        earned += number(&job["amount_msat"]);
        fees += number(&job["fee_msat"]);
    }
    let side = |name: &str, which: &str| number(&report[name][format!("balance_{which}_msat")]);
    assert_eq!(side("provider", "before") + earned, side("provider", "after"));
    assert_eq!(side("buyer", "before"), side("buyer", "after") + earned + fees);

    receipts_hold_and_show_tampering(&desk, &report);
    assert!(desk.verify_log().unwrap() > 0);
    assert!(desk.verify_wallet_log().unwrap() > 0);
    let mut buyer = Desk::new(desk.home.join("demo-buyer"));
    assert!(buyer.verify_log().unwrap() > 0);
    assert!(buyer.verify_wallet_log().unwrap() > 0);
    for desk in [&desk, &buyer] {
        assert!(desk.ends().unwrap().iter().all(|(_, ends)| *ends == 1));
        assert_eq!(desk.panics().unwrap(), Vec::<String>::new());
    }
    kept_blobs_are_sealed_and_packed_inputs_end_with_their_jobs(&desk, &mut buyer);
}

fn kept_blobs_are_sealed_and_packed_inputs_end_with_their_jobs(desk: &Desk, buyer: &mut Desk) {
    let packed = buyer.home.join("packed");
    let inputs = files(&packed);
    assert!(!inputs.is_empty(), "the demo packs a folder");
    // The blob server keeps the same content in the open, by its plain hash.
    let served = files(&desk.home.join("practice"));
    for file in inputs.iter().chain(&files(&buyer.home.join("bought"))) {
        let name = file.file_name().unwrap();
        assert!(served.iter().all(|served| served.file_name() != Some(name)), "a plain hash");
        let bytes = std::fs::read(file).unwrap();
        for served in &served {
            let served = std::fs::read(served).unwrap();
            let part = &served[..served.len().min(32)];
            assert!(part.len() < 32 || !bytes.windows(32).any(|window| window == part));
        }
    }
    assert_eq!(files(&desk.home.join("packed")), Vec::<PathBuf>::new(), "a seller keeps no input");
    assert_eq!(files(&desk.home.join("bought")), Vec::<PathBuf>::new(), "nor a result");
    // Files are told from those of this start by their age.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    buyer.start(&[]).unwrap();
    until("packed inputs are deleted", std::time::Duration::from_secs(20), || {
        Ok(files(&packed).is_empty())
    })
    .unwrap();
    assert!(buyer.stop().unwrap().success());
}

#[test]
fn what_the_operator_says_of_an_offer_outlasts_what_a_new_desk_offers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(dir.path().join("home"));
    desk.start(&[]).unwrap();
    let second = std::time::Duration::from_secs(1);
    // As early as a desk can be told anything, while it still looks at what it can execute.
    until("it answers", 20 * second, || Ok(desk.run(["status"])?.status.success())).unwrap();
    desk.cli(["provider", "offers", "set", "--kind", "5000", "--price-msat", "7"]).unwrap();
    std::thread::sleep(second);
    let offers = desk.status().unwrap()["provider"]["offers"].clone();
    let price = |kind: u64| {
        let offer = offers.as_array().unwrap().iter().find(|offer| offer["kind"] == kind);
        number(&offer.unwrap_or_else(|| panic!("no offer of {kind}: {offers}"))["price_msat"])
    };
    assert_eq!(price(5000), 7);
    assert!(price(5931) > 0, "the others are there too");
    assert!(desk.stop().unwrap().success());
}

/// Every file below a folder; none where it is not there.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn receipts_hold_and_show_tampering(desk: &Desk, report: &Value) {
    let receipts = report["receipts"].as_array().unwrap();
    for job in report["jobs"].as_array().unwrap() {
        let mut types: Vec<_> = receipts
            .iter()
            .filter(|receipt| receipt["request_id"] == job["request_id"])
            .map(|receipt| receipt["type"].as_str().unwrap())
            .collect();
        types.sort_unstable();
        assert_eq!(types, ["job_bought", "job_sold"]);
    }
    let file = desk.home.join("receipts.json");
    let verify = |receipts: &[Value]| {
        std::fs::write(&file, serde_json::to_vec(receipts).unwrap()).unwrap();
        desk.run(["receipts", "verify", path_text(&file).unwrap()]).unwrap()
    };
    assert!(verify(receipts).status.success());
    for (field, value) in
        [("amount_msat", 1.into()), ("request_id", "00".repeat(32).into()), ("kind", 5000.into())]
    {
        let mut changed = receipts.to_vec();
        changed[0][field] = value;
        if changed[0] == receipts[0] {
            changed[0][field] = 5930.into();
        }
        let refused = verify(&changed);
        assert!(!refused.status.success(), "{field}: {}", refused.stdout);
        assert!(refused.stdout.contains("\"ok\":false"), "{}", refused.stdout);
    }
}
