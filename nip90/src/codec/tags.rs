//! Reading tags: by name, first or all, without trusting any of them.

use domain::{EventId, Msat, Pubkey, RequestId, Sha256Hash};
use nostr::event::Event;

use super::ParseError;

pub fn kind(event: &Event) -> u16 {
    event.kind.into()
}

pub fn id(event: &Event) -> EventId {
    EventId(event.id.to_bytes())
}

pub fn author(event: &Event) -> Pubkey {
    Pubkey(event.pubkey.to_bytes())
}

pub fn created_at(event: &Event) -> u64 {
    event.created_at.as_secs()
}

/// The values after the name of each tag called `name`.
pub fn all<'a>(event: &'a Event, name: &'a str) -> impl Iterator<Item = &'a [String]> {
    event.tags.iter().filter_map(move |tag| match tag.as_slice() {
        [first, values @ ..] if first == name => Some(values),
        _ => None,
    })
}

/// The first value of the first tag called `name`.
pub fn first<'a>(event: &'a Event, name: &'a str) -> Option<&'a str> {
    all(event, name).next()?.first().map(String::as_str)
}

/// A value that is there and not empty.
pub fn filled(values: &[String], index: usize) -> Option<String> {
    values.get(index).filter(|value| !value.is_empty()).cloned()
}

/// A non-negative decimal integer without sign, space or leading plus, that canonical JSON can
/// carry: a larger one could be read, but never be recorded.
pub fn integer(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok().filter(|n| *n <= domain::money::MAX_MSAT) } else { None }
}

/// The end of the year 9999: later times are nonsense, and their milliseconds not exact.
pub const LATEST_SECS: u64 = 253_402_300_799;

pub fn msat(tag: &'static str, text: &str) -> Result<Msat, ParseError> {
    integer(text)
        .and_then(|amount| Msat::new(amount).ok())
        .ok_or(ParseError::Bad { tag, must: "a whole number of millisatoshi (msat)" })
}

/// `amount` [msat, bolt11].
pub fn amount(event: &Event) -> Result<(Option<Msat>, Option<String>), ParseError> {
    let Some(values) = all(event, "amount").next() else { return Ok((None, None)) };
    let amount = values.first().ok_or(ParseError::Missing("amount"))?;
    Ok((Some(msat("amount", amount)?), filled(values, 1)))
}

/// The request that an answer is to: its one `e` tag, or the first of several.
pub fn request(event: &Event) -> Result<(RequestId, Option<String>), ParseError> {
    let values = all(event, "e").next().ok_or(ParseError::Missing("e"))?;
    let id = values.first().ok_or(ParseError::Missing("e"))?;
    let id = id.parse().map_err(|_| ParseError::Bad { tag: "e", must: "an event id in hex" })?;
    Ok((id, filled(values, 1)))
}

/// The `p` tags that hold a public key; others are not looked at.
pub fn people(event: &Event) -> impl Iterator<Item = Pubkey> {
    all(event, "p").filter_map(|values| values.first()?.parse().ok())
}

pub fn sha256(tag: &'static str, text: &str) -> Result<Sha256Hash, ParseError> {
    text.parse().map_err(|_| ParseError::Bad { tag, must: "a SHA-256 in hex" })
}

/// When the event expires (NIP-40); a value that is no time is an error, not "never".
pub fn expiration(event: &Event) -> Result<Option<u64>, ParseError> {
    let Some(text) = first(event, "expiration") else { return Ok(None) };
    integer(text)
        .filter(|secs| *secs <= LATEST_SECS)
        .map(Some)
        .ok_or(ParseError::Bad { tag: "expiration", must: "a time in seconds since 1970" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_no_event_can_carry_are_not_read() {
        assert_eq!(integer("9007199254740991"), Some(9_007_199_254_740_991));
        for text in ["9007199254740992", "10000000000000000", "18446744073709551615", "+1", ""] {
            assert_eq!(integer(text), None, "{text}");
        }
    }
}
