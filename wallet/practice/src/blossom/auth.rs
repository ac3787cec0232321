//! Authorization events of Blossom (BUD-01): kind 24242, signed for one verb, a hash and a time.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use nostr::event::Event;

const KIND: u16 = 24_242;
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Clocks differ a little.
const MAX_FUTURE_SECS: u64 = 60;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// What an authorization is for, as its `t` tag says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Upload,
    Delete,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Delete => "delete",
        }
    }
}

/// Why a request was not authorized; the text is for its sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthRefusal {
    #[error("an Authorization header with a signed Nostr event is needed (BUD-01)")]
    Missing,
    #[error("the Authorization header does not hold a Nostr event: {0}")]
    Unreadable(String),
    #[error("the authorization event has kind {0}, not {KIND}")]
    WrongKind(u16),
    #[error("the authorization event is not for the verb {0:?}")]
    WrongVerb(&'static str),
    #[error("the authorization event has expired or names no expiration")]
    Expired,
    #[error("the authorization event is dated in the future")]
    Future,
    #[error("the id or the signature of the authorization event is wrong")]
    Forged,
    #[error("the authorization event names no blob")]
    NoHash,
}

/// A verified authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized {
    /// Who signed.
    pub pubkey: String,
    /// The blobs that it is for, in lower-case hex.
    hashes: Vec<String>,
}

impl Authorized {
    pub fn names(&self, hash: &str) -> bool {
        self.hashes.iter().any(|named| named == hash)
    }
}

/// Checks an `Authorization` header for one verb.
///
/// # Errors
/// With what is wrong with it.
pub fn authorize(
    header: Option<&[u8]>,
    verb: Verb,
    now_secs: u64,
) -> Result<Authorized, AuthRefusal> {
    let event = read(header.ok_or(AuthRefusal::Missing)?)?;
    if event.kind.as_u16() != KIND {
        return Err(AuthRefusal::WrongKind(event.kind.as_u16()));
    }
    let values = |name: &'static str| {
        event.tags.iter().filter(move |tag| tag.kind() == name).filter_map(|tag| tag.content())
    };
    if !values("t").any(|value| value == verb.as_str()) {
        return Err(AuthRefusal::WrongVerb(verb.as_str()));
    }
    if event.tags.expiration().is_none_or(|at| at.as_secs() <= now_secs) {
        return Err(AuthRefusal::Expired);
    }
    if event.created_at.as_secs() > now_secs.saturating_add(MAX_FUTURE_SECS) {
        return Err(AuthRefusal::Future);
    }
    let hashes: Vec<String> = values("x").map(str::to_ascii_lowercase).collect();
    if hashes.is_empty() {
        return Err(AuthRefusal::NoHash);
    }
    event.verify().map_err(|_| AuthRefusal::Forged)?;
    Ok(Authorized { pubkey: event.pubkey.to_hex(), hashes })
}

fn read(header: &[u8]) -> Result<Event, AuthRefusal> {
    let unreadable = |text: &str| AuthRefusal::Unreadable(text.to_owned());
    if header.len() > MAX_HEADER_BYTES {
        return Err(unreadable("it is too long"));
    }
    let (scheme, given) = header.split_first_chunk::<6>().ok_or(unreadable("it is too short"))?;
    if !scheme.eq_ignore_ascii_case(b"nostr ") {
        return Err(unreadable("its scheme is not Nostr"));
    }
    let given = given.trim_ascii();
    let json = STANDARD
        .decode(given)
        .or_else(|_| URL_SAFE.decode(given))
        .map_err(|_| unreadable("it is not base64"))?;
    Event::from_json(&json).map_err(|error| unreadable(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    use nostr::{
        event::{EventBuilder, FinalizeEvent, Kind, Tag},
        key::{Keys, SecretKey},
        types::Timestamp,
    };
    use proptest::prelude::*;

    const NOW: u64 = 1_000_000;
    const HASH: &str = "ab";

    fn event(kind: u16, at: u64, tags: &[(&str, &str)]) -> Event {
        let tags: Vec<_> =
            tags.iter().map(|(name, value)| Tag::parse([*name, *value]).unwrap()).collect();
        EventBuilder::new(Kind::from_u16(kind), "Upload")
            .tags(tags)
            .custom_created_at(Timestamp::from_secs(at))
            .finalize(&Keys::new(SecretKey::from_slice(&[9; 32]).unwrap()))
            .unwrap()
    }

    fn check(event: &Event) -> Result<Authorized, AuthRefusal> {
        let header = format!("Nostr {}", BASE64_STANDARD.encode(event.as_json()));
        authorize(Some(header.as_bytes()), Verb::Upload, NOW)
    }

    #[test]
    fn a_good_authorization_names_its_author_and_blobs() {
        let good = event(KIND, NOW - 5, &[("t", "upload"), ("x", "AB"), ("expiration", "1000060")]);
        let authorized = check(&good).unwrap();
        assert_eq!(authorized.pubkey, good.pubkey.to_hex());
        assert!(authorized.names(HASH) && !authorized.names("cd"));
        let url_safe = format!("nostr {}", BASE64_URL_SAFE_NO_PAD.encode(good.as_json()));
        assert!(authorize(Some(url_safe.as_bytes()), Verb::Upload, NOW).is_ok());
        assert_eq!(
            authorize(Some(url_safe.as_bytes()), Verb::Delete, NOW),
            Err(AuthRefusal::WrongVerb("delete"))
        );
    }

    #[test]
    fn anything_wrong_is_named() {
        let (t, x, exp) = (("t", "upload"), ("x", HASH), ("expiration", "1000060"));
        assert_eq!(check(&event(1, NOW, &[t, x, exp])), Err(AuthRefusal::WrongKind(1)));
        assert_eq!(check(&event(KIND, NOW, &[x, exp])), Err(AuthRefusal::WrongVerb("upload")));
        assert_eq!(check(&event(KIND, NOW, &[t, exp])), Err(AuthRefusal::NoHash));
        assert_eq!(check(&event(KIND, NOW, &[t, x])), Err(AuthRefusal::Expired));
        assert_eq!(
            check(&event(KIND, NOW, &[t, x, ("expiration", "1000000")])),
            Err(AuthRefusal::Expired)
        );
        assert_eq!(check(&event(KIND, NOW + 61, &[t, x, exp])), Err(AuthRefusal::Future));
        let mut forged = event(KIND, NOW, &[t, x, exp]);
        forged.content.push('!');
        assert_eq!(check(&forged), Err(AuthRefusal::Forged));
        assert_eq!(authorize(None, Verb::Upload, NOW), Err(AuthRefusal::Missing));
    }

    proptest! {
        #[test]
        fn any_header_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(authorize(Some(&bytes), Verb::Upload, NOW).is_err());
        }

        #[test]
        fn any_base64_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let header = format!("Nostr {}", BASE64_STANDARD.encode(bytes));
            prop_assert!(authorize(Some(header.as_bytes()), Verb::Upload, NOW).is_err());
        }
    }
}
