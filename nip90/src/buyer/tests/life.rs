//! Orders, results, checks, cancelling and time-outs.

use super::*;
use crate::codec::{Deletion, JobRequest, request::blob_url};

fn refused(decision: &Decision<BuyerEvent, BuyerEffect>) -> &str {
    match &decision.reply {
        Some(Reply::Refused(error)) => &error.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_request_id_is_known_before_anything_is_published() {
    let mut desk = Desk::new();
    let mut order = draft("a", Some(SELLER));
    let sha256 = Sha256Hash([7; 32]);
    order.inputs.push(JobInput::Blob { sha256, len: 9, media_type: "application/x-tar".into() });
    let Some(Reply::Submitted { request_id }) = desk.submit(&order, 1).reply else { panic!() };
    let BuyerEffect::PublishRequest(PublishRequest { request, blobs, .. }) = &desk.effects[0]
    else {
        panic!()
    };
    assert_eq!(blobs[0].url, blob_url("http://127.0.0.1:3000", sha256));
    let template: Template = serde_json::from_slice(&desk.bodies[&request.hash].bytes).unwrap();
    let event = sign(&template, US);
    assert_eq!(event.id.to_bytes(), request_id.0);
    let terms = JobRequest::parse(&event).unwrap().terms;
    assert_eq!(terms.bid_msat, Some(msat(1_000)));
    assert_eq!(terms.providers, [pubkey(SELLER)]);
    assert_eq!(terms.expires_at_secs, Some(START.as_secs() + 300));
    assert_eq!(terms.inputs[1].blob.as_ref(), Some(&blobs[0]));
    assert_eq!(desk.words(request_id), ("submitted", "reserved"));
}

#[test]
fn the_same_key_is_the_same_job_and_another_key_another() {
    let mut desk = Desk::new();
    let one = desk.asked(&draft("a", None), 1);
    let again = desk.submit(&draft("a", None), 2);
    assert_eq!(again.reply, Some(Reply::Submitted { request_id: one }));
    assert_eq!(again.emits, []);
    assert_ne!(desk.asked(&draft("b", None), 1), one, "also of the same second and content");
}

#[test]
fn an_order_over_a_limit_is_refused_and_nothing_is_reserved() {
    let mut desk = Desk::new();
    for n in 0..3 {
        let mut tight = limits(1_050);
        let one_less = msat(1_049);
        match n {
            0 => tight.per_job_msat = one_less,
            1 => tight.left_today_msat = one_less,
            _ => tight.spendable_msat = one_less,
        }
        let draft = draft("a", None);
        let decision =
            desk.feed(BuyerInput::Submit { draft: draft.clone(), salt: [1; 32], limits: tight });
        assert_eq!(refused(&decision), "over_limit");
        assert_eq!(decision.emits, []);
    }
    let submit = |key: &str, salt| BuyerInput::Submit {
        draft: draft(key, None),
        salt: [salt; 32],
        limits: limits(1_050),
    };
    assert!(matches!(desk.feed(submit("a", 1)).reply, Some(Reply::Submitted { .. })));
    assert_eq!(refused(&desk.feed(submit("b", 2))), "over_limit", "what is reserved counts");
    assert_eq!(desk.books().held_msat, 1_050);
}

#[test]
fn orders_that_make_no_sense_are_refused() {
    let mut desk = Desk::new();
    let cases = [
        (JobDraft { timeout_secs: 0, ..draft("a", None) }, "bad_timeout"),
        (JobDraft { kind: 7_000, ..draft("a", None) }, "bad_request"),
        (
            JobDraft {
                inputs: vec![JobInput::Text { text: "x".repeat(70_000) }],
                ..draft("a", None)
            },
            "bad_request",
        ),
    ];
    for (order, code) in cases {
        assert_eq!(refused(&desk.submit(&order, 1)), code);
    }
    desk.config.max_open = 0;
    assert_eq!(refused(&desk.submit(&draft("a", None), 1)), "too_many_jobs");
    assert_eq!(desk.log.len(), 0);
}

#[test]
fn a_free_result_is_checked_and_receipted_and_the_reservation_released() {
    let mut desk = Desk::new();
    let id = desk.asked(&draft("a", Some(SELLER)), 1);
    assert_eq!(desk.job(id).waiting_for(), Some(Mover::Provider));
    desk.seen(&feedback(id, Status::Processing, None), SELLER);
    assert_eq!(desk.words(id).0, "working");
    desk.effects.clear();
    desk.seen(&result(id, None), SELLER);
    assert_eq!(desk.words(id), ("checking", "reserved"));
    let BuyerEffect::CheckResult { result, .. } = &desk.effects[0] else { panic!() };
    let crate::ResultRef::Event { body, .. } = result else { panic!() };
    assert_eq!(&*desk.bodies[&body.hash].bytes, b"{\"exit\":0}");
    desk.verified(id);
    assert_eq!(desk.words(id), ("done", "released"));
    let receipt = desk.sign_receipt(id);
    assert_eq!(receipt.check_claims(), Ok(()));
    assert_eq!((receipt.amount_msat, receipt.subject), (None, pubkey(SELLER)));
    assert!(desk.job(id).succeeded());
    assert_eq!(desk.books().released_msat, 1_050);
    assert_eq!(desk.replayed(), desk.buyer);
}

#[test]
fn b40_only_a_result_that_matches_is_taken() {
    let mut desk = Desk::new();
    let id = desk.asked(&draft("a", Some(SELLER)), 1);
    let wrong_customer = ResultTerms { customer: Some(pubkey(OTHER)), ..result_terms(id, None) };
    let wrong_kind = ResultTerms { request_kind: 5_000, ..result_terms(id, None) };
    let nobody = ResultTerms { customer: None, ..result_terms(id, None) };
    for terms in [wrong_customer, wrong_kind, nobody] {
        assert_eq!(desk.seen(&terms.template(1).unwrap(), SELLER).emits, []);
    }
    assert_eq!(desk.seen(&result(id, None), OTHER).emits, [], "another author");
    let stranger = RequestId([9; 32]);
    assert_eq!(desk.seen(&result(stranger, None), SELLER).emits, [], "another request");
    let hash = ResultTerms { sha256: Some(Sha256Hash([1; 32])), ..result_terms(id, None) };
    desk.seen(&hash.template(1).unwrap(), SELLER);
    assert_eq!(desk.words(id), ("failed", "released"));
    assert!(desk.job(id).reason.as_ref().unwrap().contains("hash"));
}

#[test]
fn b40_a_blob_must_have_the_stated_hash_and_size() {
    let order = |desk: &mut Desk| {
        let id = desk.asked(&draft("a", Some(SELLER)), 1);
        let terms =
            ResultTerms { payload: Payload::Blob(blob()), sha256: None, ..result_terms(id, None) };
        desk.effects.clear();
        desk.seen(&terms.template(1).unwrap(), SELLER);
        id
    };
    let fetched =
        |id, sha256, size_bytes| BuyerInput::BlobFetched { request_id: id, sha256, size_bytes };
    let mut desk = Desk::new();
    let id = order(&mut desk);
    assert_eq!(desk.words(id).0, "fetching");
    assert!(matches!(&desk.effects[..], [BuyerEffect::FetchBlob { .. }]));
    desk.feed(fetched(id, blob().sha256, 1_000));
    assert_eq!(desk.words(id).0, "checking");
    desk.verified(id);
    assert_eq!(desk.words(id).0, "done");

    let mut desk = Desk::new();
    let id = order(&mut desk);
    desk.feed(fetched(id, blob().sha256, 999));
    assert_eq!(desk.words(id).0, "failed");
    let mut desk = Desk::new();
    let id = order(&mut desk);
    assert_eq!(desk.feed(fetched(id, Sha256Hash([6; 32]), 1_000)).emits, [], "another blob");
    let mut desk = Desk::new();
    desk.config.max_result_bytes = 999;
    let id = order(&mut desk);
    assert_eq!(desk.words(id).0, "failed");
    let mut desk = Desk::new();
    let id = order(&mut desk);
    desk.feed(BuyerInput::BlobFailed {
        request_id: id,
        sha256: blob().sha256,
        reason: "404".into(),
    });
    assert_eq!(desk.words(id).0, "failed");
}

#[test]
fn b39_a_silent_provider_ends_explicitly_and_its_late_result_is_recorded_not_paid() {
    let mut desk = Desk::new();
    let id = desk.asked(&draft("a", Some(SELLER)), 1);
    desk.effects.clear();
    desk.later(331);
    assert_eq!(desk.words(id), ("timed_out", "released"));
    let BuyerEffect::PublishCancel { template, .. } = &desk.effects[0] else { panic!() };
    let deletion = Deletion::parse(&sign(template, US)).unwrap();
    assert_eq!(deletion.events, [id.into()]);
    desk.effects.clear();
    let (bolt11, _) = invoice(9, 700, desk.now, 600);
    let late = result(id, Some((700, &bolt11)));
    desk.seen(&late, SELLER);
    assert!(desk.job(id).late_result.is_some());
    assert_eq!(desk.seen(&late, SELLER).emits, [], "once");
    assert_eq!(desk.effects, []);
    assert_eq!(desk.words(id), ("timed_out", "released"));
}

#[test]
fn every_waiting_state_times_out() {
    let mut desk = Desk::new();
    let Some(Reply::Submitted { request_id }) = desk.submit(&draft("a", None), 1).reply else {
        panic!()
    };
    let BuyerEffect::PublishRequest(publish) = &desk.effects[0] else { panic!() };
    assert_eq!(publish.not_after, desk.now.plus_secs(120));
    desk.effects.clear();
    desk.later(179);
    assert_eq!(desk.words(request_id), ("submitted", "reserved"), "the last try has its time");
    desk.later(1);
    assert_eq!(desk.words(request_id), ("failed", "released"));
    assert!(
        matches!(&desk.effects[..], [BuyerEffect::PublishCancel { .. }]),
        "a relay may have taken it in silence"
    );
    let id = desk.asked(&draft("b", Some(SELLER)), 2);
    desk.seen(&result(id, None), SELLER);
    desk.later(600);
    assert_eq!(desk.words(id), ("failed", "released"));
    assert_eq!(desk.verified(id).emits, []);
    let Some(Reply::Submitted { request_id }) = desk.submit(&draft("c", None), 3).reply else {
        panic!()
    };
    desk.feed(BuyerInput::PublishFailed { request_id, reason: "blocked".into(), may_be_out: true });
    assert_eq!(desk.words(request_id), ("failed", "released"));
    assert_eq!(desk.books().held_msat, 0);
}

#[test]
fn a_request_that_a_relay_may_have_is_deleted_and_one_that_none_has_is_not() {
    for may_be_out in [true, false] {
        let mut desk = Desk::new();
        let Some(Reply::Submitted { request_id }) = desk.submit(&draft("a", None), 1).reply else {
            panic!()
        };
        desk.effects.clear();
        let reason = "no".to_owned();
        desk.feed(BuyerInput::PublishFailed { request_id, reason, may_be_out });
        assert_eq!(desk.words(request_id), ("failed", "released"));
        let deletions =
            desk.effects.iter().filter(|e| matches!(e, BuyerEffect::PublishCancel { .. }));
        assert_eq!(deletions.count(), usize::from(may_be_out));
        assert_eq!(desk.effects.len(), usize::from(may_be_out));
    }
}

#[test]
fn cancelling_releases_all_and_tells_the_providers() {
    let mut desk = Desk::new();
    let id = desk.asked(&draft("a", None), 1);
    desk.effects.clear();
    assert_eq!(desk.feed(BuyerInput::Cancel { request_id: id }).reply, Some(Reply::Done));
    assert_eq!(desk.words(id), ("cancelled", "released"));
    assert!(matches!(&desk.effects[..], [BuyerEffect::PublishCancel { .. }]));
    assert_eq!(refused(&desk.feed(BuyerInput::Cancel { request_id: id })), "too_late");
    assert_eq!(
        desk.books(),
        Ledger { reserved_msat: 1_050, held_msat: 0, released_msat: 1_050, spent_msat: 0 }
    );
}

#[test]
fn an_error_of_the_named_provider_ends_the_job_and_its_words_stay_in_a_body() {
    let mut desk = Desk::new();
    let id = desk.asked(&draft("a", Some(SELLER)), 1);
    assert_eq!(desk.seen(&feedback(id, Status::Error, None), OTHER).emits, []);
    let decision = desk.seen(&feedback(id, Status::Error, None), SELLER);
    assert_eq!(desk.words(id), ("failed", "released"));
    let BuyerEvent::Failed(failed) = &decision.emits[0].event else { panic!() };
    assert!(!failed.detail.contains("from outside"));
    let body = &desk.bodies[&failed.feedback.as_ref().unwrap().hash];
    assert!(std::str::from_utf8(&body.bytes).unwrap().contains("from outside"));
}

#[test]
fn a_rejected_result_is_not_paid() {
    let mut desk = Desk::new();
    let id = desk.asked(&draft("a", Some(SELLER)), 1);
    let (bolt11, _) = invoice(9, 700, desk.now, 600);
    desk.seen(&result(id, Some((700, &bolt11))), SELLER);
    desk.rejected(id, "hash list");
    assert_eq!(desk.words(id), ("failed", "released"));
    assert_eq!(desk.pays().len(), 0);
}

#[test]
fn a_provider_that_works_before_the_relay_has_acknowledged_gets_its_time() {
    let mut desk = Desk::new();
    let Some(Reply::Submitted { request_id: id }) = desk.submit(&draft("a", Some(SELLER)), 1).reply
    else {
        panic!("refused")
    };
    desk.seen(&feedback(id, Status::Processing, None), SELLER);
    assert_eq!(desk.words(id).0, "working");
    desk.later(299);
    assert_eq!(desk.words(id).0, "working", "the request itself lives for 300 s");
    desk.seen(&result(id, None), SELLER);
    desk.verified(id);
    assert_eq!(desk.words(id).0, "done");
    assert_eq!(desk.replayed(), desk.buyer);
}

/// A result of other bytes.
fn junk(id: RequestId, content: &str) -> Template {
    let payload = Payload::Event { content: content.to_owned(), media_type: None };
    ResultTerms { payload, sha256: None, ..result_terms(id, None) }.template(1).unwrap()
}

#[test]
fn a_free_result_that_is_none_leaves_an_open_request_open_for_the_next() {
    let mut desk = Desk::new();
    let id = desk.asked(&draft("a", None), 1);
    desk.effects.clear();
    desk.seen(&junk(id, "junk"), OTHER);
    assert_eq!(desk.job(id).provider, Some(pubkey(OTHER)));
    let was = desk.checked(id);
    desk.rejected(id, "hash list");
    assert_eq!(desk.words(id), ("asked", "reserved"));
    assert_eq!(desk.job(id).provider, None);
    assert!(matches!(desk.effects.last(), Some(BuyerEffect::HearAgain { .. })));
    assert_eq!(desk.seen(&junk(id, "more junk"), OTHER).emits, [], "no second try");
    desk.seen(&result(id, None), SELLER);
    assert_eq!(desk.words(id).0, "checking");
    // What is said late of other bytes is not said of these.
    let late = BuyerInput::ResultVerified { request_id: id, sha256: was };
    assert_eq!(desk.feed(late).emits, []);
    let late = BuyerInput::ResultRejected { request_id: id, sha256: was, reason: "no".into() };
    assert_eq!(desk.feed(late).emits, []);
    desk.verified(id);
    assert_eq!(desk.words(id).0, "done");
    assert_eq!(desk.job(id).provider, Some(pubkey(SELLER)));
    assert_eq!(desk.replayed(), desk.buyer);
}

#[test]
fn an_offer_to_be_paid_first_is_taken_after_a_result_that_was_none() {
    let mut desk = Desk::new();
    let id = desk.asked(&draft("a", None), 1);
    let (bolt11, _) = invoice(9, 700, desk.now, 600);
    let offer = feedback(id, Status::PaymentRequired, Some((700, &bolt11)));
    desk.seen(&junk(id, "junk"), OTHER);
    assert_eq!(desk.seen(&offer, SELLER).emits, [], "one at a time");
    desk.rejected(id, "hash list");
    desk.seen(&offer, SELLER);
    assert_eq!(desk.words(id), ("asked", "paying"));
}

#[test]
fn results_that_are_none_are_bounded_and_end_with_the_request() {
    let mut desk = Desk::new();
    let id = desk.asked(&draft("a", None), 1);
    for by in 10..30 {
        desk.seen(&junk(id, "junk"), by);
        desk.rejected(id, "no");
    }
    assert_eq!(desk.job(id).turned_down.len(), 8);
    assert_eq!(desk.words(id).0, "asked");
    desk.later(330);
    assert_eq!(desk.words(id), ("timed_out", "released"));
    // Nobody answers a request that has expired.
    let id = desk.asked(&draft("b", None), 2);
    desk.seen(&junk(id, "junk"), OTHER);
    desk.now = desk.now.plus_secs(330);
    desk.rejected(id, "no");
    assert_eq!(desk.words(id), ("failed", "released"));
    assert_eq!(desk.replayed(), desk.buyer);
}
