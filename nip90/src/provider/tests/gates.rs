//! Each gate, in order, with what the buyer hears of it.

use super::*;
use crate::{provider::event::Gate, types::Blocker};

fn refused(decision: &Decision<ProviderEvent, ProviderEffect>) -> Option<(Gate, String)> {
    decision.emits.iter().find_map(|emit| match &emit.event {
        ProviderEvent::Refused(refused) => Some((refused.gate, refused.reason.clone())),
        _ => None,
    })
}

/// One `error` that names `words`, by `gate`.
fn refuses(desk: &mut Desk, seen: &SeenRequest, gate: Gate, words: &[&str]) {
    let decision = desk.seen(seen);
    let (by, _) = refused(&decision).expect("refused");
    assert_eq!(by, gate);
    let text = only_error(&desk.take());
    for word in words {
        assert!(text.contains(word), "{text:?} names {word:?}");
    }
    assert_eq!(desk.words(seen.id()), ("refused", "none"));
    assert_eq!(desk.seen(seen).emits, [], "said once");
}

/// Nothing recorded, nothing sent.
fn passes_over(desk: &mut Desk, seen: &SeenRequest, why: &str) {
    let decision = desk.seen(seen);
    assert_eq!(decision.emits, []);
    let ignored = decision.ignored.expect("a reason");
    assert!(ignored.contains(why), "{ignored:?} names {why:?}");
}

#[test]
fn mode_offline_and_connecting_take_nothing_and_remember_nothing() {
    let mut desk = Desk::bare();
    let seen = request(&terms());
    passes_over(&mut desk, &seen, "not online");
    desk.feed(ProviderInput::GoOnline);
    assert_eq!(desk.provider.mode().state, ProviderState::Connecting);
    passes_over(&mut desk, &seen, "not online");
    // p37: published while we were offline and not expired, it is served once we are online.
    desk.feed(ProviderInput::Relays { connected: 2 });
    desk.feed(ProviderInput::OfferSet(OfferDraft {
        kind: KIND,
        price_msat: Msat::ZERO,
        payment: PaymentPolicy::After,
    }));
    assert_eq!(desk.provider.mode().state, ProviderState::Online);
    desk.seen(&seen);
    assert_eq!(desk.words(seen.id()).0, "running");
}

#[test]
fn p05_a_request_that_names_others_only_is_passed_over() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    let seen = request(&RequestTerms { providers: vec![pubkey(OTHER)], ..terms() });
    passes_over(&mut desk, &seen, "names other providers");
}

#[test]
fn p06_an_unsupported_kind_is_answered_only_when_it_names_us() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    let open = RequestTerms { kind: 5_100, providers: Vec::new(), ..terms() };
    passes_over(&mut desk, &request(&open), "not offered");
    let aimed = request(&RequestTerms { kind: 5_100, ..terms() });
    refuses(&mut desk, &aimed, Gate::Validity, &["5100", "not offered"]);
}

#[test]
fn p07_oversize_input_is_refused_before_any_invoice() {
    let mut desk = Desk::online(500, PaymentPolicy::Before);
    let seen = request(&RequestTerms { inputs: vec![Input::text("a".repeat(1_001))], ..terms() });
    refuses(&mut desk, &seen, Gate::Validity, &["1001 bytes", "1000"]);
    let blob = crate::types::Blob {
        url: "https://b.example/x".into(),
        sha256: domain::Sha256Hash([1; 32]),
        size_bytes: 1_000_000,
        media_type: "application/x-tar".into(),
    };
    let seen = request(&RequestTerms { inputs: vec![Input::blob(blob)], ..terms() });
    refuses(&mut desk, &seen, Gate::Validity, &["1000000 bytes"]);
}

#[test]
fn p08_an_event_that_does_not_verify_never_reaches_the_machine() {
    let event = sign(&terms().template(START.as_secs()).unwrap(), BUYER);
    let tampered = event.as_json().replace("echo hi", "echo ho");
    let fault = SeenRequest::check(tampered.as_bytes(), [0; 32], "r").unwrap_err();
    assert_eq!(fault, crate::codec::EventFault::WrongId);
}

#[test]
fn p01_an_unknown_input_type_is_refused_unless_the_kind_reads_it_as_text() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    let mut template = terms().template(START.as_secs()).unwrap();
    template.tags.push(vec!["i".into(), "say hi".into(), "prompt".into()]);
    refuses(&mut desk, &signed(&template, BUYER), Gate::Validity, &["url, event, job or text"]);
    desk.backends.get_mut(&KIND).unwrap().reads_unknown_input_as_text = true;
    let seen = signed(&template, OTHER);
    desk.seen(&seen);
    assert_eq!(desk.words(seen.id()).0, "running");
}

#[test]
fn a_request_that_cannot_be_read_is_answered_only_when_it_names_us() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    let mut template = terms().template(START.as_secs()).unwrap();
    template.tags.retain(|tag| tag[0] != "bid");
    template.tags.push(vec!["bid".into(), "5 sats".into()]);
    refuses(&mut desk, &signed(&template, BUYER), Gate::Validity, &["bid", "msat"]);
    template.tags.retain(|tag| tag[0] != "p");
    passes_over(&mut desk, &signed(&template, BUYER), "msat");
}

#[test]
fn p22_an_encrypted_request_to_us_gets_one_error_and_p21_to_others_nothing() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    let encrypted = RequestTerms { encrypted: true, content: "AAAA".into(), ..terms() };
    refuses(&mut desk, &request(&encrypted), Gate::Validity, &["encrypted"]);
    let others = RequestTerms { providers: vec![pubkey(OTHER)], ..encrypted };
    passes_over(&mut desk, &request(&others), "names other providers");
}

#[test]
fn p09_old_future_and_expired_requests_are_dropped() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    let at = |secs: u64| {
        let terms = RequestTerms { expires_at_secs: None, ..terms() };
        signed(&terms.template(secs).unwrap(), BUYER)
    };
    let now = START.as_secs();
    passes_over(&mut desk, &at(now - LOOK_BACK_SECS - 1), "older");
    passes_over(&mut desk, &at(now + crate::codec::MAX_FUTURE_SECS + 1), "future");
    let expired = RequestTerms { expires_at_secs: Some(now), ..terms() };
    passes_over(&mut desk, &request(&expired), "expired");
    let fine = at(now - LOOK_BACK_SECS + 1);
    desk.seen(&fine);
    assert_eq!(desk.words(fine.id()).0, "running");
}

#[test]
fn demand_risk_is_accepted_asked_or_refused_by_policy() {
    use DemandAnswer::{Accept, Ask, Refuse};
    let aimed = request(&terms());
    let open = request(&RequestTerms { providers: Vec::new(), ..terms() });
    let starter = signed(
        &RequestTerms { providers: Vec::new(), ..terms() }.template(START.as_secs()).unwrap(),
        STARTER,
    );
    for (risk, seen) in
        [(DemandRisk::Aimed, &aimed), (DemandRisk::Open, &open), (DemandRisk::Starter, &starter)]
    {
        for answer in [Accept, Ask, Refuse] {
            let mut desk = Desk::online(0, PaymentPolicy::After);
            desk.feed(ProviderInput::DemandPolicySet { risk, answer });
            match answer {
                Accept => {
                    desk.seen(seen);
                    assert_eq!(desk.words(seen.id()).0, "running");
                    assert_eq!(desk.job(seen.id()).risk, risk);
                }
                Ask => {
                    desk.seen(seen);
                    assert_eq!(desk.words(seen.id()).0, "received");
                    assert_eq!(
                        desk.job(seen.id()).waiting_for(),
                        Some(crate::types::Mover::Operator)
                    );
                    assert_eq!(desk.take(), []);
                }
                Refuse if risk == DemandRisk::Aimed => refuses(&mut desk, seen, Gate::Demand, &[]),
                Refuse => passes_over(&mut desk, seen, "does not take"),
            }
        }
    }
}

#[test]
fn what_is_asked_is_answered_by_the_operator_or_times_out() {
    let open = request(&RequestTerms { providers: Vec::new(), ..terms() });
    let id = open.id();
    let asked = || {
        let mut desk = Desk::online(0, PaymentPolicy::After);
        desk.seen(&open);
        desk
    };
    let mut desk = asked();
    assert_eq!(
        desk.feed(ProviderInput::JobAccept { request_id: id }).reply,
        Some(crate::Reply::Done)
    );
    assert_eq!(desk.words(id).0, "running");

    let mut desk = asked();
    desk.feed(ProviderInput::JobRefuse { request_id: id });
    assert!(only_error(&desk.take()).contains("operator"));
    let again = desk.feed(ProviderInput::JobAccept { request_id: id });
    assert!(matches!(again.reply, Some(crate::Reply::Refused(_))));

    let mut desk = asked();
    desk.later(desk.config.ask_secs);
    assert_eq!(desk.words(id).0, "refused");
    assert!(only_error(&desk.take()).contains("nobody answered"));

    let mut desk = asked();
    desk.backends.get_mut(&KIND).unwrap().unable = Some("no sandbox".into());
    let late = desk.feed(ProviderInput::JobAccept { request_id: id });
    assert!(matches!(late.reply, Some(crate::Reply::Refused(_))));
    assert_eq!(desk.words(id).0, "refused");
}

#[test]
fn p03_bid_below_price_gives_one_error_naming_price_and_unit() {
    for providers in [vec![pubkey(US)], Vec::new()] {
        let mut desk = Desk::online(10_001, PaymentPolicy::Before);
        let seen = request(&RequestTerms { providers, ..terms() });
        refuses(&mut desk, &seen, Gate::Price, &["10001 msat", "10000 msat"]);
        desk.later(100);
        assert_eq!(desk.take(), []);
    }
    let mut desk = Desk::online(10_000, PaymentPolicy::Before);
    let seen = request(&terms());
    desk.seen(&seen);
    assert_eq!(desk.words(seen.id()), ("accepted", "quoted"), "a bid of just the price is enough");
}

#[test]
fn too_little_time_is_refused() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    let hurried = RequestTerms { expires_at_secs: Some(START.as_secs() + 1), ..terms() };
    refuses(&mut desk, &request(&hurried), Gate::TimeLeft, &["1 s are left", "2 s"]);
}

#[test]
fn a_backend_that_cannot_or_is_full_refuses() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    desk.config.max_open = 1;
    desk.seen(&request(&RequestTerms { unique: Some("1".into()), ..terms() }));
    desk.take();
    let second = request(&RequestTerms { unique: Some("2".into()), ..terms() });
    refuses(&mut desk, &second, Gate::Backend, &["busy"]);
    desk.config.max_open = 9;
    desk.backends.get_mut(&KIND).unwrap().unable = Some("probe failed".into());
    let third = request(&RequestTerms { unique: Some("3".into()), ..terms() });
    refuses(&mut desk, &third, Gate::Backend, &["can't be executed"]);
}

#[test]
fn degraded_refuses_and_blockers_name_what_is_missing() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    let blocker = Blocker { code: "wallet_not_ready".into(), message: "m".into(), hint: None };
    desk.feed(ProviderInput::Blockers(vec![blocker.clone()]));
    assert_eq!(desk.provider.mode().state, ProviderState::Degraded);
    refuses(&mut desk, &request(&terms()), Gate::Blockers, &["try later"]);
    assert_eq!(desk.provider.mode().blockers, [blocker]);
    desk.feed(ProviderInput::Blockers(Vec::new()));
    assert_eq!(desk.provider.mode().state, ProviderState::Online);
}

#[test]
fn p46_a_flood_of_refusals_turns_silent() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    desk.config.max_refusals_per_minute = 3;
    for n in 0..10 {
        desk.seen(&request(&RequestTerms { kind: 5_100, unique: Some(n.to_string()), ..terms() }));
    }
    assert_eq!(published(&desk.take()).len(), 3);
    desk.now = desk.now.plus_secs(61);
    desk.seen(&request(&RequestTerms { kind: 5_100, unique: Some("later".into()), ..terms() }));
    assert_eq!(published(&desk.take()).len(), 1);
}

#[test]
fn p10_the_same_request_again_from_elsewhere_or_after_a_restart_is_one_job() {
    let mut desk = Desk::online(500, PaymentPolicy::Before);
    let seen = request(&terms());
    desk.seen(&seen);
    let events = desk.log.len();
    for _ in 0..3 {
        assert_eq!(desk.seen(&seen).emits, []);
    }
    desk.provider = desk.replayed();
    desk.feed(ProviderInput::Started);
    desk.feed(ProviderInput::Relays { connected: 1 });
    desk.feed(ProviderInput::GoOnline);
    assert_eq!(desk.seen(&seen).ignored.as_deref(), Some("known"));
    assert!(desk.log[events..].iter().all(|event| event.stream.as_str() == "provider"));
}

#[test]
fn p11_same_buyer_same_content_new_id_is_a_new_job() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    let one = request(&terms());
    let two = signed(&terms().template(START.as_secs() - 1).unwrap(), BUYER);
    desk.seen(&one);
    desk.seen(&two);
    assert_eq!(desk.provider.jobs().count(), 2);
}

#[test]
fn forgetting_old_ids_never_makes_one_job_twice() {
    let mut desk = Desk::online(0, PaymentPolicy::After);
    let seen = request(&RequestTerms { expires_at_secs: None, ..terms() });
    desk.seen(&seen);
    desk.executed(seen.id(), done("{}"));
    desk.publish(seen.id(), Slot::Answer);
    desk.later(LOOK_BACK_SECS + 3_601);
    assert!(desk.provider.seen.is_empty());
    desk.feed(ProviderInput::Relays { connected: 1 });
    // Even with a clock that runs backwards.
    desk.now = START;
    desk.provider.jobs.clear();
    passes_over(&mut desk, &seen, "older");
}

#[test]
fn what_is_refused_at_once_is_not_kept_and_its_buyer_still_hears_why() {
    let mut desk = Desk::online(500, PaymentPolicy::Before);
    let seen = request(&RequestTerms { bid_msat: Some(msat(1)), ..terms() });
    let decision = desk.seen(&seen);
    assert_eq!(desk.words(seen.id()), ("refused", "none"));
    assert!(decision.emits.iter().all(|emit| emit.bodies.is_empty()));
    assert_eq!(desk.job(seen.id()).request, None);
    let effects = desk.take();
    let publish = published(&effects)[0];
    assert_eq!(publish.needs(), (None, None));
    assert!(publish.template(None, None).is_ok());
    // What is promised, or may be, is kept: it is needed for the work and for the result.
    let mut desk = Desk::online(500, PaymentPolicy::Before);
    let seen = request(&terms());
    assert_eq!(desk.seen(&seen).emits[0].bodies.len(), 1);
    let open = request(&RequestTerms { providers: Vec::new(), ..terms() });
    assert_eq!(desk.seen(&open).emits[0].bodies.len(), 1);
}

#[test]
fn invoices_that_expired_longest_ago_are_forgotten_first_and_only_beyond_the_bound() {
    let mut desk = Desk::online(500, PaymentPolicy::Before);
    let first = request(&terms());
    desk.seen(&first);
    let paid_late = desk.make_invoice(first.id(), 7);
    let mine = desk.provider.by_hash[&paid_late.payment_hash].clone();
    let older = |n: usize| AwaitedPayment {
        keep_until: mine.keep_until.minus_secs(10_000 + n as u64),
        ..mine.clone()
    };
    for n in 1..MAX_AWAITED {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_be_bytes());
        desk.provider.by_hash.insert(PaymentHash(hash), older(n));
    }
    assert_eq!(desk.provider.by_hash.len(), MAX_AWAITED);
    let second = request(&RequestTerms { unique: Some("2".into()), ..terms() });
    desk.seen(&second);
    let paid = desk.make_invoice(second.id(), 8);
    let awaited = &desk.provider.by_hash;
    assert_eq!(awaited.len(), MAX_AWAITED);
    assert!(awaited.contains_key(&paid.payment_hash));
    assert!(awaited.contains_key(&paid_late.payment_hash));
    let oldest = awaited.values().map(|of| of.keep_until).min().unwrap();
    assert_eq!(oldest, older(MAX_AWAITED - 2).keep_until, "one went: the oldest");
}
