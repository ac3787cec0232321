//! A job's life: work, delivery, cancelling, deadlines, mode and announcement.

use super::*;
use crate::{
    codec::{self, Deletion, Feedback, JobResult, Payload, Status},
    types::Mover,
};

fn free() -> (Desk, RequestId) {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    let seen = request(&terms());
    desk.seen(&seen);
    (desk, seen.id())
}

fn terminal(desk: &Desk) -> usize {
    published(&desk.effects).iter().filter(|publish| publish.slot == Slot::Answer).count()
}

fn deletion(id: RequestId, by: u8) -> ProviderInput {
    let event = sign(&codec::deletion::of_request(id, KIND, START.as_secs()), by);
    ProviderInput::DeletionSeen(Deletion::parse(&event).unwrap())
}

#[test]
fn a_free_job_runs_is_delivered_and_gets_its_receipt() {
    let (mut desk, id) = free();
    assert_eq!(desk.words(id), ("running", "none"));
    let effects = desk.take();
    assert!(matches!(published(&effects)[0].message, Message::Processing));
    assert!(effects.iter().any(|effect| matches!(effect, ProviderEffect::Execute(_))));
    desk.executed(id, done("{\"exit\":0}"));
    assert_eq!(desk.words(id), ("executed", "none"));
    assert_eq!(desk.job(id).waiting_for(), Some(Mover::Us));
    assert_eq!(terminal(&desk), 1);
    desk.publish(id, Slot::Answer);
    assert_eq!(desk.words(id), ("delivered", "none"));
    let receipt = desk.sign_receipt(id);
    assert_eq!(receipt.check_claims(), Ok(()));
    assert_eq!(receipt.amount_msat, None);
    assert_eq!(receipt.result_sha256, Some(domain::Sha256Hash::of(b"{\"exit\":0}")));
    assert!(receipt.log_head.is_some());
    assert!(desk.job(id).succeeded());
    assert_eq!(desk.job(id).waiting_for(), None);
    assert_eq!(desk.replayed(), desk.provider);
}

#[test]
fn p13_p15_p16_what_is_published_says_what_nip90_wants() {
    let mut desk = Desk::online(700, PaymentPolicy::After);
    let relays = vec!["wss://relay.example".to_owned(), "wss://10.0.0.1".to_owned()];
    let seen = request(&RequestTerms { relays, ..terms() });
    let id = seen.id();
    desk.seen(&seen);
    let processing = published(&desk.effects)[0].clone();
    assert_eq!(processing.extra_relays, ["wss://relay.example"]);
    let event = sign(&processing.template(None, None).unwrap(), US);
    let feedback = Feedback::parse(&event).unwrap().terms;
    assert_eq!((feedback.status, feedback.request_id), (Status::Processing, id));
    assert_eq!(feedback.customer, Some(pubkey(BUYER)));
    desk.take();
    let outcome = done("{\"exit\":0}");
    desk.executed(id, outcome.clone());
    let paid = desk.make_invoice(id, 7);
    let publish = published(&desk.effects)[0].clone();
    let (needs_request, needs_content) = publish.needs();
    assert_eq!(needs_request, Some(&seen.raw.reference));
    let ExecutionOutcome::Inline(body) = outcome else { unreachable!() };
    assert_eq!(needs_content, Some(&body.reference));
    let template = publish.template(Some(&seen.raw.bytes), Some(&body.bytes)).unwrap();
    let again = publish.template(Some(&seen.raw.bytes), Some(&body.bytes)).unwrap();
    assert_eq!(template.id(pubkey(US)), again.id(pubkey(US)), "the same event after a crash");
    let result = JobResult::parse(&sign(&template, US)).unwrap().terms;
    assert_eq!(result.request_kind, KIND);
    assert_eq!(result.amount_msat, Some(msat(700)), "p25: amount is what was invoiced");
    assert_eq!(result.bolt11, desk.job(id).bolt11);
    assert_eq!(result.sha256, Some(domain::Sha256Hash::of(&body.bytes)));
    assert_eq!(result.inputs, [["echo hi", "text"]]);
    assert!(
        matches!(&result.payload, Payload::Event { content, .. } if content.as_bytes() == &*body.bytes)
    );
    let embedded = codec::parse(result.request_json.unwrap().as_bytes()).unwrap();
    assert_eq!(embedded.id.to_bytes(), id.0);
    desk.publish(id, Slot::Answer);
    desk.feed(ProviderInput::Paid(paid));
    assert_eq!(desk.words(id), ("delivered", "paid"));
    assert!(publish.template(None, Some(&body.bytes)).is_err(), "a body that is gone is an error");
    assert!(publish.template(Some(&seen.raw.bytes), Some(&[0xff])).is_err());
}

#[test]
fn quick_jobs_skip_the_processing_feedback() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    desk.backends.get_mut(&KIND).unwrap().estimate_ms = 900;
    desk.seen(&request(&terms()));
    assert_eq!(published(&desk.take()).len(), 0);
}

#[test]
fn jobs_beyond_the_places_wait_and_follow_in_order() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    desk.config.max_running = 2;
    let ids: Vec<RequestId> = (0..4)
        .map(|n| {
            let seen = request(&RequestTerms { unique: Some(n.to_string()), ..terms() });
            desk.seen(&seen);
            seen.id()
        })
        .collect();
    let states =
        |desk: &Desk| ids.iter().map(|id| desk.words(*id).0.to_owned()).collect::<Vec<_>>();
    assert_eq!(states(&desk), ["running", "running", "accepted", "accepted"]);
    desk.executed(ids[1], done("{}"));
    assert_eq!(states(&desk), ["running", "executed", "running", "accepted"]);
    desk.executed(ids[0], ExecutionOutcome::Failed { reason: "exit 1".into() });
    assert_eq!(states(&desk), ["failed", "executed", "running", "running"]);
}

#[test]
fn p30_an_unknown_outcome_is_tried_once_more_then_ends_in_an_error() {
    let (mut desk, id) = free();
    desk.take();
    desk.executed(id, ExecutionOutcome::Unknown);
    assert_eq!((desk.words(id).0, desk.job(id).attempt), ("running", 2));
    assert_eq!(terminal(&desk), 0);
    let late = ProviderInput::Executed { request_id: id, attempt: 1, outcome: done("{}") };
    assert_eq!(desk.feed(late).emits, [], "the first attempt does not count any more");
    desk.take();
    desk.executed(id, ExecutionOutcome::Unknown);
    assert_eq!(desk.words(id).0, "failed");
    assert!(desk.take().iter().any(|effect| matches!(effect, ProviderEffect::Publish(_))));
}

#[test]
fn p14_every_deadline_ends_in_one_terminal_event() {
    // Running too long.
    let (mut desk, id) = free();
    desk.take();
    desk.later(71);
    assert_eq!(desk.words(id).0, "failed");
    let effects = desk.take();
    assert!(matches!(effects[0], ProviderEffect::StopExecution { attempt: 1, .. }));
    assert_eq!(published(&effects).len(), 1);
    desk.executed(id, done("{}"));
    assert_eq!(desk.take(), [], "late facts of an ended job change nothing");

    // Expired in the queue.
    let mut desk = Desk::online(0, PaymentPolicy::After);
    desk.config.max_running = 0;
    let seen = request(&RequestTerms { expires_at_secs: Some(START.as_secs() + 30), ..terms() });
    desk.seen(&seen);
    desk.later(30);
    assert!(only_error(&desk.take()).contains("expired"));

    // A result that no relay takes: no second terminal event.
    let (mut desk, id) = free();
    desk.executed(id, done("{}"));
    desk.take();
    desk.later(desk.config.publish_secs + desk.config.publish_grace_secs);
    assert_eq!(desk.words(id).0, "failed");
    assert_eq!(terminal(&desk), 0);
}

#[test]
fn a_result_is_not_published_any_more_long_before_its_job_fails_for_want_of_a_relay() {
    for policy in [PaymentPolicy::Before, PaymentPolicy::After] {
        for price in [0, 500] {
            let mut desk = Desk::online(price, policy);
            let seen = request(&terms());
            let id = seen.id();
            desk.seen(&seen);
            if price > 0 && policy == PaymentPolicy::Before {
                let paid = desk.make_invoice(id, 7);
                desk.feed(ProviderInput::Paid(paid));
            }
            desk.executed(id, done("{}"));
            if price > 0 && policy == PaymentPolicy::After {
                desk.make_invoice(id, 7);
            }
            let effects = desk.take();
            let answer = published(&effects).into_iter().find(|p| p.slot == Slot::Answer).unwrap();
            let not_after = answer.not_after.expect("a result has its end");
            assert_eq!(not_after, desk.now.plus_secs(900));
            let end_by = desk.job(id).end_by.unwrap();
            assert!(end_by >= not_after.plus_secs(60), "the last try and its outcome fit between");
            desk.later(959);
            assert_eq!(desk.words(id).0, "executed");
            desk.later(1);
            assert_eq!(desk.words(id).0, "failed");
        }
    }
}

#[test]
fn p19_a_result_counts_as_published_when_one_relay_has_it() {
    let (mut desk, id) = free();
    desk.executed(id, done("{}"));
    let nobody = ProviderInput::Published {
        request_id: id,
        slot: Slot::Answer,
        event_id: EventId([1; 32]),
        accepted: Vec::new(),
    };
    let decision = desk.decide(&nobody);
    assert!(matches!(decision.emits[0].event, ProviderEvent::Failed(_)));
    desk.publish(id, Slot::Processing);
    assert_eq!(desk.words(id).0, "executed");
    desk.publish(id, Slot::Answer);
    assert_eq!(desk.words(id).0, "delivered");
}

#[test]
fn p34_the_buyer_cancels_before_and_during_work_and_nobody_else_does() {
    for queued in [true, false] {
        let mut desk = Desk::online(0, PaymentPolicy::After);
        desk.config.max_running = usize::from(!queued);
        let seen = request(&terms());
        desk.seen(&seen);
        desk.take();
        assert_eq!(desk.feed(deletion(seen.id(), OTHER)).emits, [], "kind 5 by anyone else");
        desk.feed(deletion(seen.id(), BUYER));
        assert_eq!(desk.words(seen.id()).0, "cancelled");
        let stops = desk.effects.iter().any(|e| matches!(e, ProviderEffect::StopExecution { .. }));
        assert_eq!(stops, !queued);
        assert_eq!(terminal(&desk), 1);
        assert_eq!(desk.feed(deletion(seen.id(), BUYER)).emits, [], "once");
    }
}

#[test]
fn p34_after_payment_a_deletion_changes_nothing_and_the_job_is_delivered() {
    let mut desk = Desk::online(500, PaymentPolicy::Before);
    let seen = request(&terms());
    let id = seen.id();
    desk.seen(&seen);
    let paid = desk.make_invoice(id, 7);
    desk.feed(ProviderInput::Paid(paid));
    assert_eq!(desk.feed(deletion(id, BUYER)).emits, []);
    let cancel = desk.feed(ProviderInput::JobCancel { request_id: id });
    assert!(matches!(cancel.reply, Some(crate::Reply::Refused(_))));
    assert_eq!(desk.words(id), ("running", "paid"));
}

#[test]
fn never_online_by_itself_after_a_start() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    desk.provider = desk.replayed();
    desk.feed(ProviderInput::Started);
    assert_eq!(desk.provider.mode().state, ProviderState::Offline);
    assert!(matches!(desk.take()[..], [ProviderEffect::Withdraw { .. }]), "we are not there");
    desk.feed(ProviderInput::Relays { connected: 3 });
    desk.later(1_000);
    assert_eq!(desk.provider.mode().state, ProviderState::Offline);
    desk.feed(ProviderInput::GoOnline);
    assert_eq!(desk.provider.mode().state, ProviderState::Online);
}

#[test]
fn p41_announces_replaces_renews_and_withdraws() {
    let mut desk = Desk::bare();
    let created = |desk: &mut Desk| {
        let effects = desk.take();
        let templates: Vec<Template> = effects
            .into_iter()
            .filter_map(|effect| match effect {
                ProviderEffect::Announce { template } => Some(template),
                _ => None,
            })
            .collect();
        assert_eq!(templates.len(), 1);
        templates[0].clone()
    };
    let offer = |price| {
        ProviderInput::OfferSet(OfferDraft {
            kind: KIND,
            price_msat: msat(price),
            payment: PaymentPolicy::Before,
        })
    };
    desk.feed(offer(5));
    desk.feed(ProviderInput::Relays { connected: 1 });
    assert_eq!(desk.take(), []);
    desk.feed(ProviderInput::GoOnline);
    let first = created(&mut desk);
    desk.feed(offer(6));
    let second = created(&mut desk);
    assert!(second.created_at_secs > first.created_at_secs, "the newer one replaces");
    assert_eq!(first.tags[0], second.tags[0], "under the same d");
    desk.later(desk.config.heartbeat_secs - 5);
    assert_eq!(desk.take(), []);
    desk.later(10);
    assert!(created(&mut desk).created_at_secs > second.created_at_secs);
    desk.feed(ProviderInput::GoOffline);
    assert!(matches!(desk.take()[..], [ProviderEffect::Withdraw { .. }]));
    desk.feed(ProviderInput::GoOffline);
    desk.later(1_000);
    assert_eq!(desk.take(), []);
}

#[test]
fn offers_of_kinds_that_cannot_run_are_refused() {
    let mut desk = Desk::bare();
    for kind in [7_000, 5_050] {
        let offer = OfferDraft { kind, price_msat: Msat::ZERO, payment: PaymentPolicy::After };
        let reply = desk.feed(ProviderInput::OfferSet(offer)).reply;
        assert!(matches!(reply, Some(crate::Reply::Refused(_))));
    }
    assert_eq!(desk.log.len(), 0);
}

#[test]
fn going_offline_lets_promised_jobs_end() {
    let (mut desk, id) = free();
    desk.feed(ProviderInput::GoOffline);
    desk.executed(id, done("{}"));
    desk.publish(id, Slot::Answer);
    assert_eq!(desk.words(id).0, "delivered");
}
