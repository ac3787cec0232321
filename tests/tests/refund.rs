//! A paid job fails: its seller gives the money back to the buyer's invoice, or says that it did.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use scenarios::{
    desk::{Desk, path_text, text},
    programs::until,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;

const OVER_SECS: u64 = 60;
const REFUSED: i32 = 3;

/// Buys work that can only fail once it is paid for: what it was to read is no PDF.
fn owed(seller: &Desk, buyer: &Desk, name: &str) -> (String, u64) {
    let broken = buyer.home.join(name);
    std::fs::write(&broken, b"%PDF-1.7 no more than that").unwrap();
    let submitted = buyer
        .cli([
            "job",
            "submit",
            "--kind",
            "5000",
            "--path",
            path_text(&broken).unwrap(),
            "--provider",
            &seller.pubkey().unwrap(),
            "--no-wait",
        ])
        .unwrap();
    let id = text(&submitted["request_id"]).unwrap();
    seller.wait(&format!("job={id}:refund_due"), OVER_SECS).unwrap();
    buyer.wait(&format!("job={id}:failed"), OVER_SECS).unwrap();
    let job = seller.job(&id).unwrap();
    assert_eq!((&job["over"], &job["waiting_for"]), (&false.into(), &"operator".into()), "{job}");
    assert!(job["refund"].is_null(), "{job}");
    (id, job["amount_msat"].as_u64().unwrap())
}

fn invoice(buyer: &Desk, amount_msat: u64) -> String {
    let made = buyer.cli(["wallet", "receive", &amount_msat.to_string()]).unwrap();
    text(&made["request"]).unwrap()
}

fn sha256_of_hex(value: &Value) -> String {
    let bytes = hex::decode(value.as_str().unwrap()).unwrap();
    hex::encode(Sha256::digest(bytes))
}

#[test]
fn owed_money_goes_back_to_the_buyers_invoice_once_or_by_the_operators_word() {
    let dir = tempfile::tempdir().unwrap();
    let mut seller = Desk::new(dir.path().join("seller"));
    seller.start(&[]).unwrap();
    seller.ready(true).unwrap();
    let mut buyer = Desk::joining(dir.path().join("buyer"), &seller);
    buyer.start(&[]).unwrap();
    buyer.ready(false).unwrap();

    let (id, paid) = owed(&seller, &buyer, "first.pdf");
    let refund = |bolt11: &str, more: &[&str]| {
        let args = ["provider", "refund", &id, "--invoice", bolt11];
        seller.run(args.into_iter().chain(more.iter().copied())).unwrap()
    };
    // Neither more nor, unless it is said, less than what is owed; and nothing was sent.
    for (asks, more) in [(paid + 1, vec![]), (paid - 1, vec![])] {
        let refused = refund(&invoice(&buyer, asks), &more);
        assert_eq!(refused.status.code(), Some(REFUSED), "{}", refused.stdout);
        assert!(refused.stdout.contains("bad_amount"), "{}", refused.stdout);
    }
    let before = buyer.balance_msat().unwrap();
    let bolt11 = invoice(&buyer, paid);
    let job = refund(&bolt11, &[]).ok().unwrap().json().unwrap();
    assert_eq!(job["payment_state"], "refunded", "{job}");
    assert_eq!((&job["over"], &job["succeeded"]), (&true.into(), &false.into()));
    let proof = &job["refund"];
    assert_eq!((&proof["by"], &proof["amount_msat"]), (&"wallet".into(), &paid.into()), "{job}");
    assert_eq!(sha256_of_hex(&proof["preimage"]), text(&proof["payment_hash"]).unwrap());
    until("the buyer has its money back", Duration::from_secs(30), || {
        Ok(buyer.balance_msat()? == before + paid)
    })
    .unwrap();
    // The same order again is answered and pays nothing; another one is refused.
    assert!(refund(&bolt11, &[]).status.success());
    assert_eq!(refund(&invoice(&buyer, paid), &[]).status.code(), Some(REFUSED));
    assert_eq!(buyer.balance_msat().unwrap(), before + paid);

    let (second, _) = owed(&seller, &buyer, "second.pdf");
    let word = ["provider", "refund", &second, "--settled-elsewhere", "a beer at the fair"];
    assert_eq!(seller.cli(word).unwrap()["proved"], false);
    // What the operator said and what was proved both outlive the process.
    seller.stop().unwrap();
    seller.start(&[]).unwrap();
    seller.ready(false).unwrap();
    let told = seller.job(&second).unwrap();
    assert_eq!((&told["payment_state"], &told["over"]), (&"handed_back".into(), &true.into()));
    assert_eq!(told["refund"]["by"], "operator");
    assert!(told["refund"].get("preimage").is_none(), "a word proves nothing: {told}");
    assert_eq!(seller.job(&id).unwrap()["payment_state"], "refunded");
    assert!(seller.verify_log().unwrap() > 0);
    for desk in [&seller, &buyer] {
        assert_eq!(desk.panics().unwrap(), Vec::<String>::new());
    }
}
