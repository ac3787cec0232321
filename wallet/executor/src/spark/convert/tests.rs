//! Every state that the process tells of, and every error of `pay`.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn told(direction: &str, state: &str, given: bool, heard: bool) -> Value {
    let preimage = Preimage([7; 32]);
    json!({
        "ours": true, "given": given, "heard": heard,
        "key": "k", "account": "operator", "direction": direction, "rail": "bolt11",
        "state": state, "amount_msat": 5_000, "fee_msat": 1_000,
        "payment_hash": preimage.payment_hash(), "reference": "r", "preimage": preimage,
        "request": "lnbcrt1", "payee": null, "memo": "", "created_at": 1, "updated_at": 2,
        "expires_at": null, "detail": "why", "waits_for": null,
    })
}

fn read(value: Value) -> Told {
    serde_json::from_value(value).unwrap()
}

fn notice(mut what: Value) -> Notice {
    what["notice"] = json!("payment");
    Notice { cursor: 1, what }
}

#[test]
fn a_look_up_never_takes_silence_for_an_answer() {
    let silence = BackendError::NotNow("Spark's operators were not heard since".into());
    for (state, given, heard, expected) in [
        ("requested", false, false, Ok(Found::Nothing)),
        ("pending", true, false, Ok(Found::InFlight)),
        ("failed", false, false, Ok(Found::Failed { reason: "why".into() })),
        ("unknown", true, true, Ok(Found::Nothing)),
        ("unknown", true, false, Err(silence)),
    ] {
        assert_eq!(found(read(told("out", state, given, heard))), expected, "{state} {heard}");
    }
    let settled = found(read(told("out", "settled", true, false))).unwrap();
    let Found::Settled { amount_msat, fee_msat, preimage, .. } = settled else { panic!() };
    assert_eq!((amount_msat, fee_msat), (Msat::from_sat(5), Msat::from_sat(1)));
    assert_eq!(preimage, Some(Preimage([7; 32])));
    for state in ["pending", "expired", "requested"] {
        assert_eq!(found(read(told("in", state, false, false))), Ok(Found::Nothing));
    }
}

#[test]
fn only_ends_are_facts_and_what_never_left_did_not_fail() {
    assert!(matches!(
        fact(notice(told("in", "settled", false, false))),
        Some(Fact::Received { which: Which::Hash(_), to: None, .. })
    ));
    assert!(matches!(
        fact(notice(told("out", "settled", true, false))),
        Some(Fact::Paid { which: Which::Hash(_), preimage: Some(_), .. })
    ));
    assert!(matches!(
        fact(notice(told("out", "failed", true, false))),
        Some(Fact::PayFailed { no_way: false, .. })
    ));
    for (direction, state) in [("out", "failed"), ("out", "pending"), ("in", "pending")] {
        assert_eq!(fact(notice(told(direction, state, false, false))), None);
    }
    let mut elsewhere = told("out", "settled", true, false);
    elsewhere["ours"] = json!(false);
    assert_eq!(fact(notice(elsewhere)), None);
    let mut by_address = told("in", "settled", false, false);
    by_address["payment_hash"] = Value::Null;
    by_address["rail"] = json!("spark");
    let Some(Fact::Received { which, to, preimage, .. }) = fact(notice(by_address)) else {
        panic!()
    };
    assert_eq!((which, to), (Which::Reference("r".into()), Some("lnbcrt1".into())));
    assert_eq!(preimage, None);
}

#[test]
fn an_error_of_pay_is_unclear_unless_nothing_was_given_away() {
    let said =
        |code: &'static str, exit| not_sent(CallError::Said(ErrorBody::new(code, "m").exit(exit)));
    let m = || String::from("m");
    assert_eq!(said("insufficient_balance", ExitCode::Refused), SendAnswer::NotSent(m()));
    assert_eq!(said("not_reachable", ExitCode::NotReachable), SendAnswer::NotNow(m()));
    assert_eq!(said("bad_request", ExitCode::Refused), SendAnswer::Refused(m()));
    assert_eq!(said("already_paid", ExitCode::Refused), SendAnswer::Unclear(m()));
    assert_eq!(said("internal", ExitCode::Failed), SendAnswer::Unclear(m()));
    assert_eq!(said("sdk", ExitCode::Failed), SendAnswer::Unclear(m()));
    assert_eq!(not_sent(CallError::Lost(m())), SendAnswer::Unclear(m()));
    assert_eq!(not_sent(CallError::Unreached(m())), SendAnswer::NotNow(m()));
}

proptest! {
    #[test]
    fn what_is_not_understood_is_no_fact(text in "\\PC{0,60}", number: i64, flag: bool) {
        for what in [
            json!({ "notice": text, "key": number }),
            json!({ "notice": "payment", "key": text, "amount_msat": number, "ours": flag }),
            json!([text, number]),
            Value::Null,
        ] {
            prop_assert_eq!(fact(Notice { cursor: 1, what }), None);
        }
    }
}
