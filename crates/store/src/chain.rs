//! The cheap check that canonical bytes stand where they are said to stand.
//!
//! RFC 8785 sorts an envelope's keys, so that every event ends in
//! `,"prev":"…","seq":N,"stream":"…","type":"…","v":N}`. Inside a JSON string a quote is always
//! escaped, so the last `","type":"` of the bytes is the envelope's own: what stands before it can
//! be compared without parsing. `Store::verify` parses in full.

use domain::{EventHash, StreamId};

const TYPE: &[u8] = b"\",\"type\":\"";

/// A stream's name as it is written in canonical JSON, without the quotes.
pub(crate) fn escaped(stream: &StreamId) -> Vec<u8> {
    stream
        .as_str()
        .bytes()
        .flat_map(|byte| matches!(byte, b'"' | b'\\').then_some(b'\\').into_iter().chain([byte]))
        .collect()
}

/// Whether `canonical` says of itself that it is event `seq` of the stream and follows `prev`.
pub(crate) fn stands_at(
    canonical: &[u8],
    escaped_stream: &[u8],
    seq: u64,
    prev: &EventHash,
) -> Result<(), &'static str> {
    let end = rfind(canonical, TYPE).ok_or("it is not an event")?;
    let rest = canonical[..end].strip_suffix(escaped_stream).ok_or("it names another stream")?;
    let rest = rest.strip_suffix(b",\"stream\":\"").ok_or("it names another stream")?;
    let mut digits = [0; 20];
    let rest = rest.strip_suffix(decimal(seq, &mut digits)).ok_or("it has another number")?;
    let rest = rest.strip_suffix(b"\",\"seq\":").ok_or("it has another number")?;
    let mut hex = [0; 64];
    hex::encode_to_slice(prev.0, &mut hex).expect("BUG: 64 digits are room for 32 bytes");
    let rest = rest.strip_suffix(&hex).ok_or("it follows another event")?;
    rest.strip_suffix(b",\"prev\":\"").map(|_| ()).ok_or("it follows another event")
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

fn rfind(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    (0..=bytes.len().checked_sub(needle.len())?).rev().find(|at| bytes[*at..].starts_with(needle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::Link;
    use proptest::prelude::*;

    domain::events! {
        pub enum Said { "test.said" 1 => Text(Text); }
    }
    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    pub struct Text {
        text: serde_json::Value,
    }

    fn canonical(stream: &StreamId, seq: u64, prev: EventHash, text: &str) -> std::sync::Arc<[u8]> {
        let text = serde_json::json!([text, {"type": text, "a": {"type": "x", "z": text}}]);
        let link = Link {
            stream,
            seq,
            prev,
            at: domain::Timestamp(1),
            bodies: &[],
            cause: None,
            data: &Said::from(Text { text }),
        };
        link.canonical().unwrap()
    }

    proptest! {
        #[test]
        fn holds_for_every_event_and_only_at_its_place(
            name in "[!-~]{1,40}",
            seq in 0_u64..(1 << 53),
            prev: [u8; 32],
            text in ".*|(\",\"type\":\")*",
        ) {
            let stream = StreamId::new(&name).unwrap();
            let bytes = canonical(&stream, seq, EventHash(prev), &text);
            let escaped_name = escaped(&stream);
            prop_assert_eq!(stands_at(&bytes, &escaped_name, seq, &EventHash(prev)), Ok(()));
            let other = escaped(&StreamId::new(format!("{name}x")).unwrap());
            prop_assert!(stands_at(&bytes, &other, seq, &EventHash(prev)).is_err());
            prop_assert!(stands_at(&bytes, &escaped_name, seq + 1, &EventHash(prev)).is_err());
            let mut wrong = prev;
            wrong[0] ^= 1;
            prop_assert!(stands_at(&bytes, &escaped_name, seq, &EventHash(wrong)).is_err());
        }

        #[test]
        fn never_panics(bytes: Vec<u8>, name: Vec<u8>, seq: u64) {
            let _ = stands_at(&bytes, &name, seq, &EventHash::GENESIS);
        }
    }
}
