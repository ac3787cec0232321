//! Who is answered, and who is not.

use super::*;
use crate::nwc::words::{Lookup, Order, Wish};
use domain::Msat;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_secs(1_780_000_000);

fn keys(n: u8) -> Keys {
    Keys::parse(&hex::encode([n; 32])).unwrap()
}

fn intake(methods: &[Method]) -> Intake {
    let mut intake = Intake::default();
    intake.set(vec![Connection {
        account: AccountId::new("app").unwrap(),
        client: keys(1).public_key(),
        keys: keys(2),
        methods: methods.iter().copied().collect(),
    }]);
    intake
}

fn asked(call: &Call, cipher: Cipher, made: Timestamp, until: Timestamp) -> Event {
    let service = keys(2).public_key();
    seal::request(&keys(1), &service, cipher, &call.to_json(), made, until).unwrap()
}

fn plain(call: &Call) -> Event {
    asked(call, Cipher::Nip44, NOW, NOW.plus_secs(60))
}

#[test]
fn a_request_of_a_connection_is_understood() {
    let call = Call::PayInvoice(Order {
        id: None,
        invoice: "lnbc1".into(),
        amount: Some(Msat::from_sat(3)),
    });
    for cipher in [Cipher::Nip44, Cipher::Nip04] {
        let event = asked(&call, cipher, NOW, NOW.plus_secs(60));
        let taken = intake(&[Method::PayInvoice]).take(&event, NOW).unwrap();
        assert_eq!((taken.id, taken.cipher, taken.account.as_str()), (event.id, cipher, "app"));
        assert_eq!(taken.what, Ok(call.clone()));
    }
}

#[test]
fn what_does_not_count_is_not_answered() {
    let mut intake = intake(Method::ALL);
    let call = Call::GetBalance;
    let service = keys(2).public_key();
    let until = NOW.plus_secs(60);
    let text = call.to_json();
    let stranger = seal::request(&keys(3), &service, Cipher::Nip44, &text, NOW, until).unwrap();
    assert_eq!(intake.take(&stranger, NOW), Err(Ignored::Stranger));
    let other = keys(4).public_key();
    let elsewhere = seal::request(&keys(1), &other, Cipher::Nip44, &text, NOW, until).unwrap();
    assert_eq!(intake.take(&elsewhere, NOW), Err(Ignored::Stranger));
    let answer =
        seal::response(&keys(1), &service, Cipher::Nip44, stranger.id, None, &text, NOW).unwrap();
    assert_eq!(intake.take(&answer, NOW), Err(Ignored::Stranger));
    let event = plain(&call);
    for (late, why) in [
        (NOW.plus_secs(61), Some(Ignored::Stale)),
        (NOW.plus_secs(60), None),
        (NOW.minus_secs(FRESH_SECS + 1), Some(Ignored::Stale)),
    ] {
        assert_eq!(intake.take(&event, late).err(), why, "{late}");
    }
    let old = asked(&call, Cipher::Nip44, NOW.minus_secs(FRESH_SECS + 1), until);
    assert_eq!(intake.take(&old, NOW), Err(Ignored::Stale));
    let draft = nostr::event::EventBuilder::new(Kind::WalletConnectRequest, "garbage")
        .custom_created_at(nostr::types::Timestamp::from_secs(NOW.as_secs()))
        .tag(nostr::event::Tag::public_key(service));
    let garbage = nostr::event::FinalizeEvent::finalize(draft, &keys(1)).unwrap();
    assert_eq!(intake.take(&garbage, NOW), Err(Ignored::Unreadable));
}

#[test]
fn what_is_not_allowed_or_not_known_is_refused_by_name() {
    let mut intake = intake(&[Method::GetInfo]);
    let code = |taken: Asked| taken.what.unwrap_err().1.code;
    let make = Call::MakeInvoice(Wish::default());
    assert_eq!(code(intake.take(&plain(&make), NOW).unwrap()), Code::Restricted);
    assert_eq!(code(intake.take(&plain(&Call::PayKeysend), NOW).unwrap()), Code::NotImplemented);
    let empty = Call::LookupInvoice(Lookup::default());
    assert_eq!(code(intake.take(&plain(&empty), NOW).unwrap()), Code::Other);
    let service = keys(2).public_key();
    let unknown = r#"{"method":"fly_to_moon","params":{}}"#;
    let until = NOW.plus_secs(60);
    let event = seal::request(&keys(1), &service, Cipher::Nip44, unknown, NOW, until).unwrap();
    let (method, why) = intake.take(&event, NOW).unwrap().what.unwrap_err();
    assert_eq!((method.as_str(), why.code), ("fly_to_moon", Code::NotImplemented));
    let draft = nostr::event::EventBuilder::new(Kind::WalletConnectRequest, "x")
        .custom_created_at(nostr::types::Timestamp::from_secs(NOW.as_secs()))
        .tag(nostr::event::Tag::public_key(service))
        .tag(nostr::event::Tag::custom("encryption", ["rot13"]));
    let odd = nostr::event::FinalizeEvent::finalize(draft, &keys(1)).unwrap();
    assert_eq!(code(intake.take(&odd, NOW).unwrap()), Code::UnsupportedEncryption);
}

#[test]
fn too_many_are_told_so_and_then_ignored_and_the_pace_comes_back() {
    let mut intake = intake(Method::ALL);
    let event = plain(&Call::GetBalance);
    let mut taken = |now| intake.take(&event, now).map(|asked| asked.what.is_ok());
    for _ in 0..BURST {
        assert_eq!(taken(NOW), Ok(true));
    }
    for _ in 0..Bucket::SAID {
        assert_eq!(taken(NOW), Ok(false));
    }
    assert_eq!(taken(NOW), Err(Ignored::Flood));
    let later = NOW.plus_secs(1);
    for _ in 0..PER_SECOND {
        assert_eq!(taken(later), Ok(true));
    }
    assert_eq!(taken(later), Ok(false));
}

proptest! {
    #[test]
    fn any_content_of_a_connection_is_taken_or_ignored(
        content in ".{0,200}",
        tags in prop::collection::vec(("[a-z]{1,12}", ".{0,40}"), 0..6),
        text in ".{0,200}",
    ) {
        let mut intake = intake(Method::ALL);
        let service = keys(2).public_key();
        let draft = nostr::event::EventBuilder::new(Kind::WalletConnectRequest, content)
            .custom_created_at(nostr::types::Timestamp::from_secs(NOW.as_secs()))
            .tags(tags.iter().map(|(a, b)| nostr::event::Tag::parse([a, b]).unwrap()))
            .tag(nostr::event::Tag::public_key(service));
        let event = nostr::event::FinalizeEvent::finalize(draft, &keys(1)).unwrap();
        let _ = intake.take(&event, NOW);
        if !text.is_empty() {
            let until = NOW.plus_secs(60);
            let event = seal::request(&keys(1), &service, Cipher::Nip44, &text, NOW, until).unwrap();
            prop_assert!(intake.take(&event, NOW).unwrap().what.is_err());
        }
    }
}
