//! What is promised can be sent: requests and results of any size and content.

use super::*;
use crate::codec::{JobResult, MAX_EVENT_BYTES, MAX_INLINE_JSON_BYTES, Payload, fits_inline};
use proptest::prelude::*;

/// Texts whose JSON is up to six times as long as they are.
fn piece() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("\""), Just("\n"), Just("\u{1}"), Just("é<\\")]
}

fn text((piece, bytes): (&str, usize)) -> String {
    piece.repeat(bytes / piece.len())
}

/// A request as relays bring it: an event, not its text.
fn brought(input: &str) -> SeenRequest {
    let tags: [&[&str]; 3] =
        [&["i", input, "text"], &["bid", "10000"], &["p", &pubkey(US).to_string()]];
    let template = Template {
        kind: KIND,
        created_at_secs: START.as_secs(),
        tags: tags.iter().map(|tag| tag.iter().map(|&s| s.to_owned()).collect()).collect(),
        content: String::new(),
    };
    let event = sign(&template, BUYER);
    SeenRequest::check_event(&event, [8; 32], "ws://127.0.0.1:7000").unwrap()
}

fn roomy() -> Desk {
    let mut desk = Desk::online(500, PaymentPolicy::Before);
    desk.backends.values_mut().for_each(|backend| backend.max_input_bytes = 1_000_000);
    desk
}

/// Has the job that was just accepted paid and done, and gives the effect that publishes it.
fn published_result(desk: &mut Desk, id: RequestId, content: &str) -> Publish {
    let paid = desk.make_invoice(id, 7);
    desk.feed(ProviderInput::Paid(paid));
    desk.take();
    desk.executed(id, done(content));
    let effects = desk.take();
    published(&effects)[0].clone()
}

#[test]
fn a_large_input_and_a_result_that_fits_no_longer_together_are_delivered_without_the_input() {
    let mut desk = roomy();
    let (input, content) = ("<p>".repeat(17_000), "word ".repeat(4_000));
    let seen = brought(&input);
    desk.seen(&seen);
    let publish = published_result(&mut desk, seen.id(), &content);
    let template = publish.template(Some(&seen.raw.bytes), Some(content.as_bytes())).unwrap();
    let result = JobResult::parse(&sign(&template, US)).unwrap();
    assert_eq!(result.terms.inputs, Vec::<Vec<String>>::new());
    assert_eq!(result.terms.request_json, None);
    assert_eq!(result.terms.request_id, seen.id());
    let Payload::Event { content: sent, .. } = result.terms.payload else { panic!() };
    assert_eq!(sent, content);
}

#[test]
fn a_request_that_could_not_be_read_back_is_refused_before_any_invoice() {
    for input in ["a".repeat(65_400), "\"\n".repeat(20_000)] {
        let mut desk = roomy();
        let seen = brought(&input);
        desk.seen(&seen);
        assert_eq!(desk.words(seen.id()), ("refused", "none"));
        assert!(only_error(&desk.take()).contains("more than 65536 bytes"));
    }
}

#[test]
fn a_result_that_no_event_can_carry_fails_while_the_buyer_can_still_be_told() {
    let mut desk = roomy();
    let seen = brought("x");
    desk.seen(&seen);
    let content = "\u{1}".repeat(MAX_INLINE_JSON_BYTES / 5);
    let publish = published_result(&mut desk, seen.id(), &content);
    assert_eq!(desk.words(seen.id()), ("failed", "refund_due"));
    let Message::Error { text } = publish.message else { panic!("not an error") };
    assert!(text.contains("too large"));
}

#[test]
fn an_answer_that_reached_nobody_is_followed_by_an_error_and_only_then() {
    for may_be_out in [true, false] {
        let mut desk = roomy();
        let seen = brought("x");
        let id = seen.id();
        desk.seen(&seen);
        published_result(&mut desk, id, "{}");
        let (request_id, slot, reason) = (id, Slot::Answer, "refused".to_owned());
        desk.feed(ProviderInput::PublishFailed { request_id, slot, reason, may_be_out });
        assert_eq!(desk.words(id), ("failed", "refund_due"));
        let effects = desk.take();
        if may_be_out {
            assert_eq!(effects, [], "the buyer may have the result");
        } else {
            assert!(only_error(&effects).contains("owed back"));
        }
        assert_eq!(desk.replayed(), desk.provider);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_was_promised_can_be_sent(
        input in (piece(), 0..65_300_usize),
        content in (piece(), 0..34_000_usize),
        relay in "[a-z]{0,300}",
    ) {
        let (input, content) = (text(input), text(content));
        let mut desk = roomy();
        let seen = brought(&input);
        let seen = SeenRequest { relay: format!("wss://{relay}.example"), ..seen };
        desk.seen(&seen);
        if desk.words(seen.id()).0 == "refused" {
            prop_assert!(seen.raw.bytes.len() > MAX_EVENT_BYTES);
            return Ok(());
        }
        let publish = published_result(&mut desk, seen.id(), &content);
        prop_assert_eq!(matches!(publish.message, Message::Result { .. }), fits_inline(&content));
        let template = publish.template(Some(&seen.raw.bytes), Some(content.as_bytes()));
        prop_assert!(template.is_ok(), "{:?}", template.err());
        prop_assert!(sign(&template.unwrap(), US).as_json().len() <= MAX_EVENT_BYTES);
    }
}
