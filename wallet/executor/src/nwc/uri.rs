//! The connection string of NIP-47: `nostr+walletconnect://<wallet's key>?relay=…&secret=…`.
//!
//! Whoever has it spends within its budget, so it is written out in one place only, and neither
//! errors nor `Debug` tell it.

use nostr::key::{Keys, PublicKey, SecretKey};
use std::fmt;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

/// Longer ones are refused unread.
pub const MAX_LEN: usize = 4_096;
const MAX_RELAYS: usize = 8;
const MAX_ADDRESS: usize = 320;
const SCHEMES: [&str; 2] = ["nostr+walletconnect:", "nostrwalletconnect:"];

/// Both sides' keys and where they meet.
#[derive(Clone)]
pub struct ConnectionUri {
    /// The wallet service's public key, of this connection alone.
    pub service: PublicKey,
    /// In the one form of `relay::normal_name`.
    pub relays: Vec<String>,
    pub secret: SecretKey,
    /// The wallet's lightning address.
    pub lud16: Option<String>,
}

/// Text that is no connection string. Tells nothing of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUri {
    #[error("a connection string begins with nostr+walletconnect://")]
    Scheme,
    #[error("the connection string is too long")]
    TooLong,
    #[error("the connection string does not name the wallet's public key")]
    Service,
    #[error("the connection string needs 1 to {MAX_RELAYS} relays (wss://…)")]
    Relays,
    #[error("the connection string needs one secret of 64 hexadecimal digits")]
    Secret,
    #[error("the connection string's lightning address is none")]
    Address,
}

impl ConnectionUri {
    /// Reads what an operator pasted.
    pub fn parse(text: &str) -> Result<Self, BadUri> {
        let text = text.trim();
        if text.len() > MAX_LEN {
            return Err(BadUri::TooLong);
        }
        let rest = SCHEMES
            .iter()
            .find_map(|scheme| {
                let (head, rest) = text.split_at_checked(scheme.len())?;
                head.eq_ignore_ascii_case(scheme).then_some(rest)
            })
            .ok_or(BadUri::Scheme)?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (service, query) = rest.split_once('?').ok_or(BadUri::Relays)?;
        let service = key(service.trim_end_matches('/')).ok_or(BadUri::Service)?;
        let query = query.split('#').next().unwrap_or_default();
        let (mut relays, mut secret, mut lud16) = (Vec::new(), None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "relay" => {
                    let relay = relay::normal_name(&value).map_err(|_| BadUri::Relays)?;
                    if !relays.contains(&relay) {
                        relays.push(relay);
                    }
                }
                "secret" => {
                    let value = Zeroizing::new(value.into_owned());
                    let read = secret_of(&value).ok_or(BadUri::Secret)?;
                    if secret.replace(read).is_some() {
                        return Err(BadUri::Secret);
                    }
                }
                "lud16" if !value.is_empty() => lud16 = Some(value.into_owned()),
                _ => {}
            }
        }
        let secret = secret.ok_or(BadUri::Secret)?;
        if !(1..=MAX_RELAYS).contains(&relays.len()) {
            return Err(BadUri::Relays);
        }
        if lud16.as_ref().is_some_and(|address| !is_address(address)) {
            return Err(BadUri::Address);
        }
        Ok(Self { service, relays, secret, lud16 })
    }

    /// The client's keys.
    pub fn keys(&self) -> Keys {
        Keys::new(self.secret.clone())
    }

    /// The string itself: to be shown to its operator once, or put into the vault.
    pub fn reveal(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(self.secret.to_secret_hex());
        let mut text = Zeroizing::new(String::with_capacity(MAX_LEN));
        text.push_str("nostr+walletconnect://");
        text.push_str(&self.service.to_hex());
        for (index, relay) in self.relays.iter().enumerate() {
            text.push_str(if index == 0 { "?relay=" } else { "&relay=" });
            text.extend(form_urlencoded::byte_serialize(relay.as_bytes()));
        }
        text.push_str("&secret=");
        text.push_str(&secret);
        if let Some(address) = &self.lud16 {
            text.push_str("&lud16=");
            text.extend(form_urlencoded::byte_serialize(address.as_bytes()));
        }
        text
    }
}

impl fmt::Debug for ConnectionUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionUri({}, {:?})", self.service.to_hex(), self.relays)
    }
}

/// 64 hexadecimal digits that are a point of the curve.
pub fn key(text: &str) -> Option<PublicKey> {
    let hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let key = hex.then(|| PublicKey::from_hex(text).ok()).flatten()?;
    key.xonly().is_ok().then_some(key)
}

fn secret_of(text: &str) -> Option<SecretKey> {
    let hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| SecretKey::from_hex(text).ok()).flatten()
}

/// `name@host`, as LUD-16 has it; nothing is fetched from it here.
fn is_address(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let fits = text.len() <= MAX_ADDRESS && !name.is_empty();
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b));
    fits && plain && Url::parse(&format!("https://{host}/")).is_ok_and(|url| url.path() == "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SERVICE: &str = "b889ff5b1513b641e2a139f661a661364979c5beee91842f8f0ef42ab558e9d4";
    const SECRET: &str = "71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c";

    fn text(rest: &str) -> String {
        format!("nostr+walletconnect://{SERVICE}?{rest}")
    }

    /// The example of NIP-47.
    #[test]
    fn reads_what_the_nip_writes() {
        let uri = ConnectionUri::parse(&text(&format!(
            "relay=wss%3A%2F%2Frelay.damus.io&secret={SECRET}"
        )))
        .unwrap();
        assert_eq!(uri.service.to_hex(), SERVICE);
        assert_eq!(uri.relays, ["wss://relay.damus.io"]);
        assert_eq!((uri.secret.to_secret_hex().as_str(), uri.lud16.as_deref()), (SECRET, None));
        let written = uri.reveal();
        assert_eq!(*written, text(&format!("relay=wss%3A%2F%2Frelay.damus.io&secret={SECRET}")));
        assert!(!format!("{uri:?}").contains(SECRET));
    }

    #[test]
    fn reads_older_and_fuller_ones() {
        for scheme in ["nostr+walletconnect:", "nostrwalletconnect://", " NOSTR+WALLETCONNECT://"] {
            let uri = ConnectionUri::parse(&format!(
                "{scheme}{SERVICE}?secret={SECRET}&relay=wss://a.example/&relay=wss://b.example/x\
                 &relay=wss://A.example&lud16=me%40b.example&unknown=1#end"
            ))
            .unwrap();
            assert_eq!(uri.relays, ["wss://a.example", "wss://b.example/x"]);
            assert_eq!(uri.lud16.as_deref(), Some("me@b.example"));
            assert_eq!(*ConnectionUri::parse(&uri.reveal()).unwrap().reveal(), *uri.reveal());
        }
    }

    #[test]
    fn refuses_by_name_and_tells_no_secret() {
        let relay = "relay=wss://a.example";
        for (bad, why) in [
            (String::new(), BadUri::Scheme),
            (format!("https://{SERVICE}?{relay}&secret={SECRET}"), BadUri::Scheme),
            (format!("nostr+walletconnect://{SERVICE}"), BadUri::Relays),
            (format!("nostr+walletconnect://ab?{relay}&secret={SECRET}"), BadUri::Service),
            (
                format!("nostr+walletconnect://{}?{relay}&secret={SECRET}", "f".repeat(64)),
                BadUri::Service,
            ),
            (text(&format!("secret={SECRET}")), BadUri::Relays),
            (text(&format!("relay=https://a.example&secret={SECRET}")), BadUri::Relays),
            (text(relay), BadUri::Secret),
            (text(&format!("{relay}&secret={}", "0".repeat(64))), BadUri::Secret),
            (text(&format!("{relay}&secret={SECRET}00")), BadUri::Secret),
            (text(&format!("{relay}&secret={SECRET}&secret={SECRET}")), BadUri::Secret),
            (text(&format!("{relay}&secret={SECRET}&lud16=me%20x@a")), BadUri::Address),
            (text(&format!("{relay}&secret={SECRET}&x={}", "a".repeat(5_000))), BadUri::TooLong),
        ] {
            let refused = ConnectionUri::parse(&bad).unwrap_err();
            assert_eq!(refused, why, "{bad}");
            assert!(!refused.to_string().contains(SECRET));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(nostr\\+walletconnect://)?.{0,200}") {
            let _ = ConnectionUri::parse(&text);
        }

        #[test]
        fn what_is_written_is_read_again(
            secret in prop::array::uniform32(1_u8..=254),
            service in prop::array::uniform32(1_u8..=254),
            hosts in prop::collection::btree_set("[a-z]{1,12}", 1..=8),
            path in "[a-z0-9/?=&%#]{0,12}",
            address in prop::option::of("[a-z0-9._+-]{1,12}@[a-z]{1,10}\\.example"),
        ) {
            let service = Keys::new(SecretKey::from_slice(&service).unwrap()).public_key();
            let relays = hosts
                .iter()
                .map(|host| relay::normal_name(&format!("wss://{host}.example/{path}")).unwrap())
                .collect();
            let secret = SecretKey::from_slice(&secret).unwrap();
            let uri = ConnectionUri { service, relays, secret, lud16: address };
            let again = ConnectionUri::parse(&uri.reveal()).unwrap();
            prop_assert_eq!(again.service, uri.service);
            prop_assert_eq!(&again.relays, &uri.relays);
            prop_assert_eq!(&again.lud16, &uri.lud16);
            prop_assert_eq!(again.secret.to_secret_hex(), uri.secret.to_secret_hex());
        }
    }
}
