//! Tests of the wire.

use super::*;
use nostr::event::{EventBuilder, FinalizeEvent, Tag};
use nostr::key::Keys;
use proptest::prelude::*;

fn keys() -> Keys {
    Keys::parse("6b911fd37cdf5c81d4c0adb1ab7fa822ed253ab0ad9aa18d77257c88b29b718e").unwrap()
}

#[test]
fn reads_each_message() {
    let id = "ab".repeat(32);
    match parse(r#"["EVENT","sub\u0031",{"a":[1,"]"]} , "more"]"#).unwrap() {
        Incoming::Event { subscription, event } => {
            assert_eq!((&*subscription, event.get()), ("sub1", r#"{"a":[1,"]"]}"#));
        }
        other => panic!("{other:?}"),
    }
    let frame = format!(r#"["OK","{id}",false,"blocked: no"]"#);
    assert!(matches!(parse(&frame).unwrap(),
        Incoming::Ok { accepted: false, message, .. } if message == "blocked: no"));
    assert!(matches!(parse(&format!(r#"["OK","{id}",true]"#)).unwrap(),
        Incoming::Ok { accepted: true, message, .. } if message.is_empty()));
    assert!(matches!(parse(r#"["EOSE","s"]"#).unwrap(), Incoming::Eose(s) if s == "s"));
    assert!(matches!(parse(r#"["CLOSED","s","error: x"]"#).unwrap(),
        Incoming::Closed { message, .. } if message == "error: x"));
    assert!(matches!(parse(r#"["NOTICE"]"#).unwrap(), Incoming::Notice(n) if n.is_empty()));
    assert!(matches!(parse(r#"["AUTH","c"]"#).unwrap(), Incoming::Auth(c) if c == "c"));
    assert!(matches!(parse(r#"["COUNT","s",{"count":3}]"#).unwrap(), Incoming::Other));
}

#[test]
fn refuses_what_is_not_a_message() {
    let upper = format!(r#"["OK","{}",true,""]"#, "AB".repeat(32));
    let short = r#"["OK","abcd",true,""]"#;
    for bad in [
        "",
        "{}",
        "[]",
        "[1]",
        "null",
        "[\"EVENT\"]",
        "[\"EVENT\",\"s\"]",
        "[\"OK\"]",
        short,
        &upper,
        "[\"EOSE\",7]",
        "[\"NOTICE\",\"\\ud800\"]",
        "[\"NOTICE\",\"x\"",
        "[\"NOTICE\",\"x\"] []",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(&deep).is_err());
    assert!(matches!(parse(&format!("[\"X\",{deep}]")).unwrap(), Incoming::Other));
    assert!(parse_event(&format!("{{\"tags\":{deep}}}")).is_none());
}

#[test]
fn reads_events_only_in_their_one_spelling() {
    let event = EventBuilder::new(Kind::from(5050), "hé\u{1}")
        .tag(Tag::parse(["i", "x", "text"]).unwrap())
        .finalize(&keys())
        .unwrap();
    let json = event.as_json();
    assert_eq!(parse_event(&json).unwrap(), event);
    let (id, key) = (event.id.to_hex(), event.pubkey.to_hex());
    let bech32 = nostr::nips::nip19::ToBech32::to_bech32(&event.pubkey).unwrap();
    let loose = json.replace(&key, &bech32);
    assert_eq!(Event::from_json(&loose).unwrap(), event, "the library's reader is looser");
    let sig = event.sig.to_hex();
    for bad in [
        loose,
        json.replace(&id, &id.to_uppercase()),
        json.replace(&sig, &sig[2..]),
        json.replace("5050", "70000"),
        json.replace("5050", "-1"),
        json.replace("5050", "5050.0"),
        json.replace(r#"[["i""#, r#"[[],["i""#),
        json.replace(r#"[["i""#, r#"[[1,"i""#),
        json.replace(r#""kind""#, r#""id":"x","kind""#),
    ] {
        assert!(parse_event(&bad).is_none(), "{bad}");
    }
}

#[test]
fn writes_requests() {
    let filters = [Filter::new().kind(Kind::from(5050)), Filter::new().limit(1)];
    assert_eq!(req("a\"b", filters.iter()), r#"["REQ","a\"b",{"kinds":[5050]},{"limit":1}]"#);
    assert_eq!(close("s"), r#"["CLOSE","s"]"#);
}

/// JSON that is nearly a relay's message.
fn almost() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec!["EVENT", "OK", "EOSE", "CLOSED", "NOTICE", "AUTH", "X"]);
    let part = prop_oneof![
        ".{0,12}".prop_map(|text| quoted(&text)),
        any::<i64>().prop_map(|n| n.to_string()),
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just(format!("\"{}\"", "ab".repeat(32))),
        "[\\[\\]{}\",:0-9a-z]{0,12}",
    ];
    (label, prop::collection::vec(part, 0..5))
        .prop_map(|(label, parts)| format!("[\"{label}\",{}]", parts.join(",")))
}

proptest! {
    #[test]
    fn no_frame_panics(text in ".{0,200}", near in almost()) {
        let _ = (parse(&text).is_ok(), parse(&near).is_ok());
        let _ = (parse_event(&text), parse_event(&near));
    }

    #[test]
    fn any_signed_event_survives_and_any_cut_is_refused(
        content in ".*", tags in prop::collection::vec(prop::collection::vec(".{0,8}", 1..4), 0..4),
        kind in any::<u16>(), created_at in any::<u64>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut draft = EventBuilder::new(Kind::from(kind), content)
            .custom_created_at(created_at.into());
        for tag in tags {
            draft = draft.tag(Tag::parse(tag).unwrap());
        }
        let event = draft.finalize(&keys()).unwrap();
        let frame = format!(r#"["EVENT","s",{}]"#, event.as_json());
        let Ok(Incoming::Event { event: raw, .. }) = parse(&frame) else { panic!("{frame}") };
        let read = parse_event(raw.get()).unwrap();
        prop_assert!(read.verify().is_ok());
        prop_assert_eq!(read, event);
        let mut at = cut.index(frame.len());
        while !frame.is_char_boundary(at) { at -= 1; }
        prop_assert!(parse(&frame[..at]).is_err());
    }
}
