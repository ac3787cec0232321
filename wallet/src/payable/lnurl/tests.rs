//! LNURL-pay's answers: what is taken from them, and every lie that is refused.

use domain::{Msat, Network, Timestamp};
use lightning_invoice::Currency;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    LnurlError, SuccessAction, Terms, check_invoice, read_answer, read_refusal, read_terms,
};
use crate::payable::tests::support::{NOW_SECS, invoice};

const METADATA: &str = r#"[["text/plain","Tea for\u0000 two"],["text/identifier","bob@example.com"],["image/png;base64","AAAA"]]"#;
const NOW: Timestamp = Timestamp::from_secs(NOW_SECS);

fn terms() -> Value {
    json!({
        "tag": "payRequest", "callback": "https://pay.example.com/cb?u=bob", "minSendable": 1_000,
        "maxSendable": 5_000_000, "metadata": METADATA, "commentAllowed": 12, "allowsNostr": true,
    })
}

fn with(key: &str, value: Value) -> Result<Terms, LnurlError> {
    let mut terms = terms();
    match value {
        Value::Null => drop(terms.as_object_mut().unwrap().remove(key)),
        value => terms[key] = value,
    }
    read_terms(terms.to_string().as_bytes(), Network::Mainnet)
}

#[test]
fn the_terms_of_a_server() {
    let read = with("tag", json!("payRequest")).unwrap();
    assert_eq!((read.min_msat, read.max_msat), (Msat::from_sat(1), Msat::from_sat(5_000)));
    assert_eq!((read.description.as_str(), read.comment_chars), ("Tea for two", 12));
    assert_eq!(read.identifier.as_deref(), Some("bob@example.com"));
    assert_eq!(read.metadata, METADATA);
    let url = read.callback_url(Msat::from_sat(21), Some("Tea & ä")).unwrap();
    assert_eq!(url, "https://pay.example.com/cb?u=bob&amount=21000&comment=Tea+%26+%C3%A4");
    assert_eq!(
        read.callback_url(Msat::from_sat(21), None).unwrap(),
        "https://pay.example.com/cb?u=bob&amount=21000"
    );
    let huge = with("maxSendable", json!(u64::MAX)).unwrap();
    assert_eq!(huge.max_msat.get(), domain::money::MAX_MSAT);
    assert_eq!(with("commentAllowed", json!("many")).unwrap().comment_chars, 0);
    assert_eq!(with("commentAllowed", json!(1_000_000)).unwrap().comment_chars, 500);
}

#[test]
fn terms_that_cannot_be_meant() {
    for (key, value) in [
        ("minSendable", json!(-1)),
        ("minSendable", json!(0)),
        ("minSendable", json!(1.5)),
        ("minSendable", json!("1000")),
        ("minSendable", json!(6_000_000)),
        ("minSendable", json!(u64::MAX)),
        ("minSendable", Value::Null),
        ("maxSendable", json!(1e40)),
        ("maxSendable", json!(-5)),
        ("maxSendable", json!(999)),
        ("callback", Value::Null),
        ("callback", json!("http://pay.example.com/cb")),
        ("callback", json!("http://127.0.0.1/cb")),
        ("callback", json!("file:///etc/passwd")),
        ("callback", json!("https://a:b@pay.example.com/cb")),
        ("callback", json!("https://abc.onion/cb")),
        ("metadata", Value::Null),
        ("metadata", json!("{}")),
        ("metadata", json!("[]")),
        ("metadata", json!(r#"[["text/plain"]]"#)),
        ("metadata", json!(r#"[["text/plain","a"],["text/plain","b"]]"#)),
        ("tag", Value::Null),
        ("tag", json!("withdrawRequest")),
        ("tag", json!("login")),
    ] {
        assert!(with(key, value.clone()).is_err(), "{key} {value}");
    }
    assert!(matches!(with("tag", json!("login")), Err(LnurlError::NotToPay { .. })));
    for bad in ["", "<html>", "[]", "null", "\u{feff}{}"] {
        assert!(read_terms(bad.as_bytes(), Network::Mainnet).is_err(), "{bad}");
    }
    let long = with("metadata", json!(format!(r#"[["text/plain","{}"]]"#, "x".repeat(70_000))));
    assert_eq!(long, Err(LnurlError::Malformed("it is too long")));
}

#[test]
fn a_server_that_refuses_is_quoted_shortly_and_printably() {
    let reason = format!("No\u{202e} such\n user {}", "x".repeat(10_000));
    let refusal = json!({ "status": "ERROR", "reason": reason }).to_string();
    let Err(LnurlError::Refused { reason }) = read_terms(refusal.as_bytes(), Network::Mainnet)
    else {
        panic!("not taken as a refusal");
    };
    assert!(reason.starts_with("No such user") && reason.len() <= 200, "{reason}");
    assert!(read_refusal(br#"{"status":"error"}"#).is_some());
    assert!(read_refusal(br#"{"status":"OK"}"#).is_none());
}

#[test]
fn amounts_and_comments_within_the_terms_only() {
    let read = with("tag", json!("payRequest")).unwrap();
    let code = |amount, comment| read.callback_url(amount, comment).unwrap_err().code();
    assert_eq!(code(Msat::new(999).unwrap(), None), "amount_out_of_range");
    assert_eq!(code(Msat::from_sat(5_001), None), "amount_out_of_range");
    assert_eq!(code(Msat::from_sat(5), Some("thirteen char")), "bad_comment");
    assert_eq!(code(Msat::from_sat(5), Some("a\nb")), "bad_comment");
    let own = with("callback", json!("https://pay.example.com/?amount=1")).unwrap();
    assert!(own.callback_url(Msat::from_sat(5), None).is_err());
}

#[test]
fn the_invoice_must_be_the_one_that_was_asked_for() {
    let asked = Msat::from_sat(21);
    let check = |text: &str, now| {
        check_invoice(text, asked, METADATA, Network::Mainnet, now)
            .map(|read| read.amount_msat)
            .map_err(|error| error.code())
    };
    let right = invoice(Currency::Bitcoin, Some(asked), METADATA, true);
    assert_eq!(check(&right, NOW), Ok(Some(asked)));
    let spelt_out = invoice(Currency::Bitcoin, Some(asked), METADATA, false);
    assert_eq!(check(&spelt_out, NOW), Ok(Some(asked)));
    assert_eq!(check(&right, NOW.plus_secs(3_599)), Ok(Some(asked)));
    assert_eq!(check(&right, NOW.plus_secs(3_600)), Err("expired"));
    for (text, expected) in [
        (
            invoice(Currency::Bitcoin, Some(Msat::new(21_001).unwrap()), METADATA, true),
            "amount_differs",
        ),
        (invoice(Currency::Bitcoin, Some(Msat::from_sat(20)), METADATA, true), "amount_differs"),
        (invoice(Currency::Bitcoin, None, METADATA, true), "amount_differs"),
        (invoice(Currency::Bitcoin, Some(asked), "Tea for two", true), "description_differs"),
        (invoice(Currency::Bitcoin, Some(asked), "Tea for two", false), "description_differs"),
        (invoice(Currency::Regtest, Some(asked), METADATA, true), "wrong_network"),
        ("lnbc1hello".to_owned(), "bad_invoice"),
    ] {
        assert_eq!(check(&text, NOW), Err(expected), "{text}");
    }
}

#[test]
fn what_is_shown_after_a_payment() {
    let action = |action: Value| {
        let answer = json!({ "pr": "lnbc1", "routes": [], "successAction": action }).to_string();
        read_answer(answer.as_bytes(), "https://pay.example.com/cb").unwrap().success
    };
    assert_eq!(
        action(json!({ "tag": "message", "message": "Thank\u{202e} you" })),
        Some(SuccessAction::Message { text: "Thank you".to_owned() })
    );
    let url = "https://pay.example.com/order/7";
    assert_eq!(
        action(json!({ "tag": "url", "description": "Order", "url": url })),
        Some(SuccessAction::Url { description: "Order".to_owned(), url: url.to_owned() })
    );
    for dropped in [
        json!({ "tag": "url", "description": "x", "url": "https://evil.example.com/" }),
        json!({ "tag": "url", "description": "x", "url": "javascript:alert(1)" }),
        json!({ "tag": "other" }),
        json!("text"),
        Value::Null,
    ] {
        assert_eq!(action(dropped.clone()), None, "{dropped}");
    }
    assert!(read_answer(b"{}", "https://pay.example.com/cb").is_err());
}

proptest! {
    #[test]
    fn any_answer_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_terms(&bytes, Network::Practice);
        let _ = read_answer(&bytes, "https://pay.example.com/cb");
    }

    #[test]
    fn any_value_in_any_field(
        key in prop::sample::select(vec!["tag", "callback", "minSendable", "maxSendable", "metadata", "commentAllowed"]),
        value in prop_oneof![
            any::<i64>().prop_map(|n| json!(n)), any::<f64>().prop_map(|n| json!(n)),
            "\\PC{0,80}".prop_map(|text| json!(text)), any::<bool>().prop_map(|b| json!(b)),
        ],
        amount in 0..6_000_000_u64,
        comment in prop::option::of("\\PC{0,20}"),
    ) {
        if let Ok(read) = with(key, value) {
            prop_assert!(read.min_msat <= read.max_msat && !read.min_msat.is_zero());
            prop_assert!(read.callback.starts_with("https://"));
            let amount = Msat::new(amount).unwrap();
            if let Ok(url) = read.callback_url(amount, comment.as_deref()) {
                prop_assert!(read.min_msat <= amount && amount <= read.max_msat);
                let wanted = format!("amount={}", amount.get());
                prop_assert!(url.contains(&wanted));
            }
        }
    }
}
