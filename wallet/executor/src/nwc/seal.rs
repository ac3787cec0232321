//! The events of NIP-47: their kinds, tags and encryption, for both sides.
//!
//! NIP-44 version 2 where the other side knows it; NIP-04 for those that never learned it.

use domain::Timestamp;
use nostr::{
    event::{Event, EventBuilder, EventId, FinalizeEvent, Kind, Tag},
    key::{Keys, PublicKey},
    nips::{nip04, nip44},
};
use std::fmt;
use zeroize::Zeroizing;

use super::words::{MAX_TEXT, Method, Told};

/// The longest encrypted content that is opened: base64 of padded text.
pub const MAX_SEALED: usize = 2 * MAX_TEXT;
const ENCRYPTION: &str = "encryption";
const NOTIFICATIONS: &str = "notifications";

/// How contents are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cipher {
    Nip44,
    Nip04,
}

impl Cipher {
    /// As the `encryption` tag writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nip44 => "nip44_v2",
            Self::Nip04 => "nip04",
        }
    }

    /// The kind of notifications in it.
    pub const fn notification_kind(self) -> Kind {
        match self {
            Self::Nip44 => Kind::WalletConnectNotificationNip44V2,
            Self::Nip04 => Kind::WalletConnectNotification,
        }
    }

    /// What a request says it is encrypted with; none says NIP-04, as requests did before there was
    /// a choice.
    pub fn of_request(event: &Event) -> Result<Self, UnknownCipher> {
        match tag(event, ENCRYPTION) {
            None | Some("nip04") => Ok(Self::Nip04),
            Some("nip44_v2") => Ok(Self::Nip44),
            Some(_) => Err(UnknownCipher),
        }
    }

    /// The best of those that a wallet's info event names; none named means NIP-04.
    pub fn of_info(event: &Event) -> Result<Self, UnknownCipher> {
        let Some(named) = tag(event, ENCRYPTION) else { return Ok(Self::Nip04) };
        let has = |cipher: Self| named.split_ascii_whitespace().any(|name| name == cipher.as_str());
        [Self::Nip44, Self::Nip04].into_iter().find(|cipher| has(*cipher)).ok_or(UnknownCipher)
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Encryption that neither side has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this encryption is not known here; nip44_v2 and nip04 are")]
pub struct UnknownCipher;

/// A content that could not be sealed or opened. Tells nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the content is too long")]
    TooLong,
    #[error("the content could not be encrypted or signed")]
    NotSealed,
    #[error("the content is not encrypted for this key")]
    NotOpened,
}

/// Encrypts for `peer`.
pub fn seal(
    cipher: Cipher,
    keys: &Keys,
    peer: &PublicKey,
    text: &str,
) -> Result<String, SealError> {
    if text.len() > MAX_TEXT {
        return Err(SealError::TooLong);
    }
    let sealed = match cipher {
        Cipher::Nip44 => nip44::encrypt(keys.secret_key(), peer, text, nip44::Version::V2),
        Cipher::Nip04 => nip04::encrypt(keys.secret_key(), peer, text),
    };
    sealed.map_err(|_| SealError::NotSealed)
}

/// Decrypts what `peer` encrypted for us.
pub fn open(
    cipher: Cipher,
    keys: &Keys,
    peer: &PublicKey,
    content: &str,
) -> Result<Zeroizing<String>, SealError> {
    if content.len() > MAX_SEALED {
        return Err(SealError::TooLong);
    }
    let opened = match cipher {
        Cipher::Nip44 => nip44::decrypt(keys.secret_key(), peer, content),
        Cipher::Nip04 => nip04::decrypt(keys.secret_key(), peer, content),
    };
    opened.map(Zeroizing::new).map_err(|_| SealError::NotOpened)
}

/// A client's request, kind 23194, that the wallet ignores after `expires_at`.
pub fn request(
    keys: &Keys,
    service: &PublicKey,
    cipher: Cipher,
    text: &str,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<Event, SealError> {
    let mut draft = draft(Kind::WalletConnectRequest, seal(cipher, keys, service, text)?, now)
        .tag(Tag::public_key(*service))
        .tag(Tag::expiration(nostr::types::Timestamp::from_secs(expires_at.as_secs())));
    if cipher == Cipher::Nip44 {
        draft = draft.tag(Tag::custom(ENCRYPTION, [cipher.as_str()]));
    }
    signed(draft, keys)
}

/// A wallet's answer to the request `to`, kind 23195; `name` is which of its parts.
pub fn response(
    keys: &Keys,
    client: &PublicKey,
    cipher: Cipher,
    to: EventId,
    name: Option<&str>,
    text: &str,
    now: Timestamp,
) -> Result<Event, SealError> {
    let mut draft = draft(Kind::WalletConnectResponse, seal(cipher, keys, client, text)?, now)
        .tag(Tag::public_key(*client))
        .tag(Tag::event(to));
    if let Some(name) = name {
        draft = draft.tag(Tag::identifier(name));
    }
    signed(draft, keys)
}

/// What a wallet tells without being asked.
pub fn notification(
    keys: &Keys,
    client: &PublicKey,
    cipher: Cipher,
    text: &str,
    now: Timestamp,
) -> Result<Event, SealError> {
    let content = seal(cipher, keys, client, text)?;
    signed(draft(cipher.notification_kind(), content, now).tag(Tag::public_key(*client)), keys)
}

/// What a connection can do, kind 13194; open to everyone, as the NIP has it.
pub fn info(keys: &Keys, methods: &[Method], now: Timestamp) -> Result<Event, SealError> {
    let mut words: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    words.push(NOTIFICATIONS);
    let told: Vec<&str> = Told::ALL.iter().map(|told| told.as_str()).collect();
    let draft = draft(Kind::WalletConnectInfo, words.join(" "), now)
        .tag(Tag::custom(
            ENCRYPTION,
            [format!("{} {}", Cipher::Nip44.as_str(), Cipher::Nip04.as_str())],
        ))
        .tag(Tag::custom(NOTIFICATIONS, [told.join(" ")]));
    signed(draft, keys)
}

/// Whether an info event names a capability.
pub fn info_names(event: &Event, capability: &str) -> bool {
    event.content.split_ascii_whitespace().any(|word| word == capability)
}

/// Whether an info event promises notifications.
pub fn info_notifies(event: &Event) -> bool {
    tag(event, NOTIFICATIONS).is_some_and(|told| !told.trim().is_empty())
        || info_names(event, NOTIFICATIONS)
}

/// The first value of a tag.
pub fn tag<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    let found = event.tags.iter().find(|tag| tag.kind() == name)?;
    found.content()
}

/// Whether `key` is one that the event is addressed to.
pub fn is_for(event: &Event, key: &PublicKey) -> bool {
    let hex = key.to_hex();
    event.tags.iter().any(|tag| tag.kind() == "p" && tag.content() == Some(&hex))
}

fn draft(kind: Kind, content: String, now: Timestamp) -> EventBuilder {
    let now = nostr::types::Timestamp::from_secs(now.as_secs());
    EventBuilder::new(kind, content).custom_created_at(now)
}

fn signed(draft: EventBuilder, keys: &Keys) -> Result<Event, SealError> {
    draft.finalize(keys).map_err(|_| SealError::NotSealed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(n: u8) -> Keys {
        Keys::parse(&hex::encode([n; 32])).unwrap()
    }

    const NOW: Timestamp = Timestamp::from_secs(1_780_000_000);

    #[test]
    fn a_request_and_its_answer_reach_the_other_side_only() {
        let (app, service, other) = (keys(1), keys(2), keys(3));
        for cipher in [Cipher::Nip44, Cipher::Nip04] {
            let expires = NOW.plus_secs(60);
            let asked = request(&app, &service.public_key(), cipher, "{}", NOW, expires).unwrap();
            assert_eq!(Cipher::of_request(&asked), Ok(cipher));
            assert!(is_for(&asked, &service.public_key()) && !is_for(&asked, &app.public_key()));
            assert_eq!(tag(&asked, "expiration"), Some("1780000060"));
            let text = open(cipher, &service, &app.public_key(), &asked.content).unwrap();
            assert_eq!(*text, "{}");
            assert!(open(cipher, &other, &app.public_key(), &asked.content).is_err());
            let answer =
                response(&service, &app.public_key(), cipher, asked.id, Some("a"), "[]", NOW)
                    .unwrap();
            assert_eq!(tag(&answer, "e"), Some(asked.id.to_hex().as_str()));
            assert_eq!(tag(&answer, "d"), Some("a"));
            let text = open(cipher, &app, &service.public_key(), &answer.content).unwrap();
            assert_eq!(*text, "[]");
            relay::verify_event(&answer).unwrap();
        }
    }

    #[test]
    fn info_says_what_there_is() {
        let event = info(&keys(2), &[Method::PayInvoice, Method::GetInfo], NOW).unwrap();
        assert_eq!(event.content, "pay_invoice get_info notifications");
        assert_eq!(Cipher::of_info(&event), Ok(Cipher::Nip44));
        assert!(info_notifies(&event) && info_names(&event, "get_info"));
        let plain = |tags: &[[&str; 2]]| {
            let tags = tags.iter().map(|tag| Tag::parse(*tag).unwrap());
            let draft = draft(Kind::WalletConnectInfo, "pay_invoice".into(), NOW).tags(tags);
            signed(draft, &keys(2)).unwrap()
        };
        assert_eq!(Cipher::of_info(&plain(&[])), Ok(Cipher::Nip04));
        assert!(!info_notifies(&plain(&[])));
        assert_eq!(Cipher::of_info(&plain(&[["encryption", "nip04"]])), Ok(Cipher::Nip04));
        assert_eq!(Cipher::of_info(&plain(&[["encryption", "rot13"]])), Err(UnknownCipher));
    }

    proptest! {
        #[test]
        fn any_content_is_opened_or_refused(content in ".{0,300}", base in "[A-Za-z0-9+/]{0,400}={0,2}") {
            let (app, service) = (keys(1), keys(2).public_key());
            for content in [content, base.clone(), format!("{base}?iv={base}")] {
                for cipher in [Cipher::Nip44, Cipher::Nip04] {
                    let _ = open(cipher, &app, &service, &content);
                }
            }
        }

        #[test]
        fn what_is_sealed_is_opened(text in ".{1,600}") {
            let (app, service) = (keys(1), keys(2));
            for cipher in [Cipher::Nip44, Cipher::Nip04] {
                let sealed = seal(cipher, &app, &service.public_key(), &text).unwrap();
                let opened = open(cipher, &service, &app.public_key(), &sealed).unwrap();
                prop_assert_eq!(&*opened, &text);
            }
        }
    }
}
