//! Tests of the codec: round trips, and parsers that never panic.

use domain::{Msat, Sha256Hash, Timestamp};
use nostr::event::{Event, EventId, Kind, Signature, Tag};
use proptest::prelude::*;

use super::*;
use crate::testing::{keys, pubkey, sign};
use crate::types::{Blob, PaymentPolicy};

fn amount(msat: u64) -> Msat {
    Msat::new(msat).unwrap()
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 _./:é-]{1,24}"
}

fn blob() -> impl Strategy<Value = Blob> {
    (
        "https://[a-z]{1,9}\\.example/[a-f0-9]{8}",
        any::<[u8; 32]>(),
        0..1_000_000_u64,
        "[a-z]{1,8}/[a-z]{1,8}",
    )
        .prop_map(|(url, hash, size_bytes, media_type)| Blob {
            url,
            sha256: Sha256Hash(hash),
            size_bytes,
            media_type,
        })
}

fn input() -> impl Strategy<Value = Input> {
    let kinds = prop_oneof![Just(InputType::Event), Just(InputType::Job), Just(InputType::Text),];
    let plain = (word(), kinds, proptest::option::of(word()), proptest::option::of(word()))
        .prop_map(|(data, input_type, relay, marker)| Input {
            data,
            input_type,
            relay,
            marker,
            blob: None,
        });
    prop_oneof![plain, blob().prop_map(Input::blob)]
}

prop_compose! {
    fn terms()(
        kind in 5_000_u16..6_000,
        mut inputs in proptest::collection::vec(input(), 0..5),
        params in proptest::collection::vec((word(), proptest::collection::vec(word(), 0..3)), 0..4),
        output in proptest::option::of(word()),
        bid in proptest::option::of(0_u64..1_000_000),
        relays in proptest::collection::vec(word(), 0..4),
        providers in proptest::collection::vec(any::<[u8; 32]>(), 0..3),
        topics in proptest::collection::vec(word(), 0..3),
        extra in (proptest::option::of(word()), proptest::option::of(any::<u32>()), proptest::option::of(word()), any::<bool>(), word()),
    ) -> RequestTerms {
        let (client, expires, unique, encrypted, content) = extra;
        inputs.dedup_by(|one, other| one.data == other.data);
        RequestTerms {
            kind, inputs, params, output, bid_msat: bid.map(amount), relays,
            providers: providers.into_iter().map(domain::Pubkey).collect(),
            topics, client, expires_at_secs: expires.map(u64::from), unique, encrypted, content,
        }
    }
}

/// Any kind, tags that look almost right, any content.
pub(crate) fn any_template() -> impl Strategy<Value = Template> {
    let names = prop_oneof![
        Just("i"),
        Just("param"),
        Just("bid"),
        Just("relays"),
        Just("p"),
        Just("e"),
        Just("x"),
        Just("amount"),
        Just("status"),
        Just("size"),
        Just("url"),
        Just("imeta"),
        Just("d"),
        Just("k"),
        Just("expiration"),
        Just("encrypted"),
        Just("request"),
    ]
    .prop_map(str::to_owned)
    .boxed();
    let values = prop_oneof![
        ".{0,20}",
        "[0-9]{0,25}",
        "[0-9a-f]{64}",
        "(url|x|size|m) .{0,12}",
        "(payment-required|processing|error|text|url|job)",
    ];
    let tag = (prop_oneof![names, ".{0,6}".boxed()], proptest::collection::vec(values, 0..5));
    let kind =
        prop_oneof![5_000_u16..7_001, Just(KIND_ANNOUNCEMENT), Just(KIND_DELETION), any::<u16>()];
    (kind, proptest::collection::vec(tag, 0..12), ".{0,40}|\\{\"offers\":\\{.{0,20}", any::<u64>())
        .prop_map(|(kind, tags, content, created_at_secs)| {
            let tags = tags.into_iter().map(|(name, values)| [vec![name], values].concat());
            Template { kind, created_at_secs, tags: tags.collect(), content }
        })
}

fn any_event() -> impl Strategy<Value = Event> {
    any_template().prop_map(|template| {
        let tags = template.tags.into_iter().map(|tag| Tag::parse(tag).unwrap());
        Event::new(
            EventId::from_byte_array([1; 32]),
            keys(1).public_key(),
            nostr::types::Timestamp::from_secs(template.created_at_secs),
            Kind::from(template.kind),
            tags,
            template.content,
            Signature::from_byte_array([2; 64]),
        )
    })
}

proptest! {
    #[test]
    fn parsers_never_panic_on_any_tags(event in any_event()) {
        let _ = JobRequest::parse(&event);
        let _ = Feedback::parse(&event);
        let _ = JobResult::parse(&event);
        let _ = Announcement::parse(&event);
        let _ = Deletion::parse(&event);
        prop_assert!(verify(&event).is_err());
    }

    #[test]
    fn parse_never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse(&bytes).is_err());
    }

    #[test]
    fn p01_requests_survive_the_round_trip(terms in terms(), at in 0_u32..) {
        let event = sign(&terms.template(at.into()).unwrap(), 3);
        prop_assert_eq!(verify(&event), Ok(()));
        let read = JobRequest::parse(&event).unwrap();
        prop_assert_eq!(read.author, pubkey(3));
        prop_assert_eq!(read.created_at_secs, u64::from(at));
        prop_assert_eq!(read.terms, terms);
    }

    #[test]
    fn p13_feedback_survives_the_round_trip(
        status in 0_usize..5, text in "[^\"\\\\]{0,30}", msat in proptest::option::of(0_u64..1_000_000),
        invoice in any::<bool>(), content in ".{0,50}",
    ) {
        let terms = FeedbackTerms {
            request_id: domain::RequestId([7; 32]), relay: Some("wss://r".into()),
            customer: Some(pubkey(9)), status: Status::ALL[status], text,
            amount_msat: msat.map(amount),
            bolt11: (invoice && msat.is_some()).then(|| "lnbcrt1".into()), content,
        };
        let event = sign(&terms.template(5).unwrap(), 3);
        prop_assert_eq!(Feedback::parse(&event).unwrap().terms, terms);
    }

    #[test]
    fn p15_results_survive_the_round_trip(request in terms(), blob in blob(), inline in any::<bool>(), content in ".{0,80}") {
        let request_event = sign(&request.template(4).unwrap(), 2);
        let (payload, sha256) = if inline {
            let sha256 = Sha256Hash::of(content.as_bytes());
            (Payload::Event { content, media_type: Some("text/plain".into()) }, sha256)
        } else {
            (Payload::Blob(blob.clone()), blob.sha256)
        };
        let terms = ResultTerms {
            request_kind: request.kind,
            request_id: domain::RequestId(request_event.id.to_bytes()),
            relay: Some("wss://r.example".into()),
            customer: Some(pubkey(2)),
            request_json: Some(request_event.as_json()),
            inputs: tags::all(&request_event, "i").map(<[String]>::to_vec).collect(),
            amount_msat: Some(amount(5)), bolt11: Some("lnbcrt1".into()), payload, sha256: Some(sha256),
        };
        let event = sign(&terms.template(6).unwrap(), 3);
        prop_assert_eq!(u16::from(event.kind), request.kind + 1_000);
        let read = JobResult::parse(&event).unwrap();
        prop_assert_eq!(&read.terms, &terms);
        // p16: the request in the result is the request, and its signature holds.
        let again = parse(read.terms.request_json.unwrap().as_bytes()).unwrap();
        prop_assert_eq!(again.id, request_event.id);
    }

    #[test]
    fn p41_announcements_survive_the_round_trip(
        kinds in proptest::collection::btree_set(5_000_u16..6_000, 0..6), price in 0_u64..1_000_000, encryption in any::<bool>(),
        name in "[^\\x00]{0,40}",
    ) {
        let offers = kinds.into_iter().map(|kind| OfferLine {
            kind, price_msat: Some(amount(price)), payment: Some(PaymentPolicy::After), max_input_bytes: Some(7),
        });
        let announcement = Announcement {
            d: "desk".into(), name, about: "a".into(), offers: offers.collect(), encryption,
            expires_at_secs: Some(99),
        };
        let event = sign(&announcement.template(6).unwrap(), 3);
        prop_assert_eq!(Announcement::parse(&event).unwrap(), (pubkey(3), announcement));
    }
}

#[test]
fn p08_refuses_bad_id_bad_signature_and_a_tampered_event() {
    let template = RequestTerms { kind: 5_000, ..RequestTerms::default() }.template(10).unwrap();
    let good = sign(&template, 3);
    assert_eq!(verify(&good), Ok(()));
    let mut tampered = good.clone();
    tampered.content = "other".into();
    assert_eq!(verify(&tampered), Err(EventFault::WrongId), "also after its id was seen to hold");
    let mut forged = good.clone();
    forged.sig = sign(&template, 4).sig;
    assert_eq!(verify(&forged), Err(EventFault::WrongSignature));
    let mut other_id = good.clone();
    other_id.id = sign(&template, 4).id;
    assert_eq!(verify(&other_id), Err(EventFault::WrongId));
    let early = Timestamp::from_secs(9_u64.saturating_sub(MAX_FUTURE_SECS));
    assert_eq!(check(&good, Timestamp::from_secs(10)), Ok(()));
    let future = sign(&Template { created_at_secs: 1_000, ..template }, 3);
    assert_eq!(check(&future, early), Err(EventFault::FromTheFuture));
}

#[test]
fn p07_refuses_what_is_too_large() {
    let mut terms = RequestTerms { kind: 5_000, ..RequestTerms::default() };
    terms.inputs = vec![Input::text("a".repeat(MAX_EVENT_BYTES))];
    assert!(matches!(terms.template(1), Err(BuildError::TooLarge(_))));
    assert_eq!(parse(&vec![b' '; MAX_EVENT_BYTES + 1]), Err(EventFault::TooLarge));
    let mut many = Template { kind: 5_000, ..Template::default() };
    many.tags = vec![vec!["t".to_owned()]; MAX_TAGS + 1];
    assert_eq!(verify(&sign(&many, 1)), Err(EventFault::TooManyTags));
    let mut inputs = Template { kind: 5_000, ..Template::default() };
    inputs.tags = vec![vec!["i".to_owned(), "x".to_owned()]; MAX_INPUTS + 1];
    assert!(matches!(
        JobRequest::parse(&sign(&inputs, 1)),
        Err(ParseError::TooMany { tag: "i", .. })
    ));
}

#[test]
fn p02_reads_params_under_both_spellings() {
    let terms = RequestTerms {
        params: vec![("top-k".into(), vec!["5".into()]), ("a_b".into(), vec![])],
        ..RequestTerms::default()
    };
    assert_eq!(terms.param("top_k"), Some("5"));
    assert_eq!(terms.param("top-k"), Some("5"));
    assert_eq!(terms.param("a-b"), None);
    assert_eq!(terms.param_values("a-b"), Some([].as_slice()));
}

#[test]
fn p03_refuses_a_bid_that_is_no_msat() {
    for bad in ["", "-1", "1.5", "1 sat", "+5", "99999999999999999999", "9007199254740992"] {
        let mut template = Template { kind: 5_000, ..Template::default() };
        template.tag(["bid", bad]);
        let error = JobRequest::parse(&sign(&template, 1)).unwrap_err();
        assert!(error.to_string().contains("msat"), "{bad}: {error}");
    }
}

#[test]
fn p01_an_unknown_input_type_is_told_apart_from_text() {
    let mut template = Template { kind: 5_050, ..Template::default() };
    template.tag(["i", "say hi", "prompt"]);
    template.tag(["i", "bare"]);
    let inputs = JobRequest::parse(&sign(&template, 1)).unwrap().terms.inputs;
    assert_eq!(inputs[0].input_type, InputType::Other);
    assert_eq!(inputs[1].input_type, InputType::Text);
}

#[test]
fn p13_refuses_a_status_that_is_none_of_the_five_words() {
    let mut template = Template { kind: KIND_FEEDBACK, ..Template::default() };
    template.tag(["e", &"ab".repeat(32)]);
    template.tag(["status", "done"]);
    assert!(matches!(
        Feedback::parse(&sign(&template, 1)),
        Err(ParseError::Bad { tag: "status", .. })
    ));
}

#[test]
fn p18_leaves_the_request_out_where_the_result_would_not_fit_with_it() {
    let request = RequestTerms {
        kind: 5_000,
        inputs: vec![Input::text("a".repeat(30_000))],
        ..RequestTerms::default()
    };
    let event = sign(&request.template(4).unwrap(), 2);
    let terms = ResultTerms {
        request_kind: 5_000,
        request_id: domain::RequestId(event.id.to_bytes()),
        relay: None,
        customer: None,
        request_json: Some(event.as_json()),
        inputs: Vec::new(),
        amount_msat: None,
        bolt11: None,
        payload: Payload::Event { content: "b".repeat(40_000), media_type: None },
        sha256: None,
    };
    let result = JobResult::parse(&sign(&terms.template(5).unwrap(), 3)).unwrap();
    assert!(result.terms.request_json.is_none());
}

#[test]
fn p34_a_deletion_names_events_of_its_author() {
    let id = domain::RequestId([5; 32]);
    let event = sign(&deletion::of_request(id, 5_930, 8), 6);
    let read = Deletion::parse(&event).unwrap();
    assert_eq!((read.author, read.events), (pubkey(6), vec![id.into()]));
    let withdrawn = sign(&deletion::of_announcement(pubkey(6), "desk", 9), 6);
    assert_eq!(tags::first(&withdrawn, "a"), Some(format!("31990:{}:desk", pubkey(6)).as_str()));
}

#[test]
fn p41_reads_both_spellings_of_encryption_support_and_strange_content() {
    for (content, encryption) in [
        (r#"{"encryptionSupported":true}"#, true),
        (r#"{"supportsEncryption":"True"}"#, true),
        ("[]", false),
        ("no json", false),
    ] {
        let mut template = Template { kind: KIND_ANNOUNCEMENT, ..Template::default() };
        template.tag(["d", "x"]);
        template.tag(["k", "5050"]);
        template.tag(["k", "1"]);
        template.content = content.into();
        let (_, read) = Announcement::parse(&sign(&template, 1)).unwrap();
        assert_eq!(read.encryption, encryption, "{content}");
        assert_eq!(read.offers.len(), 1);
    }
}
