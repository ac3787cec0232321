//! Canonical JSON (RFC 8785): the one byte form that is hashed and signed.

use serde::Serialize;
use serde_json::{Map, Value};

/// Why a value has no canonical form here.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    #[error("an event holds a number that is not an exact integer below 2^53")]
    InexactNumber,
    #[error("the value cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Integers beyond ±(2^53-1) are not exact in every JSON reader.
const LIMIT: u64 = (1 << 53) - 1;

/// The RFC 8785 bytes of `value`. Floats and integers beyond ±(2^53-1) are refused.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(512);
    write_value(&mut out, &serde_json::to_value(value)?)?;
    Ok(out)
}

/// Every event is written by this before it is hashed, so it makes one pass over the value. Without
/// floats RFC 8785 is sorted keys, no space, and the shortest escapes.
pub(crate) fn write_value(out: &mut Vec<u8>, value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => write_number(out, number)?,
            (None, Some(number)) => {
                out.push(b'-');
                write_number(out, number.unsigned_abs())?;
            }
            (None, None) => return Err(CanonicalError::InexactNumber),
        },
        Value::String(text) => write_string(out, text)?,
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(out, item)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => write_object(out, fields)?,
    }
    Ok(())
}

fn write_object(out: &mut Vec<u8>, fields: &Map<String, Value>) -> Result<(), CanonicalError> {
    out.push(b'{');
    let mut write_fields = |fields: &mut dyn Iterator<Item = (&String, &Value)>| {
        for (index, (key, value)) in fields.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(out, key)?;
            out.push(b':');
            write_value(out, value)?;
        }
        Ok::<_, CanonicalError>(())
    };
    // By UTF-16 code units, as RFC 8785 §3.2.3 wants it; of ASCII that is the order of the bytes.
    let in_order = fields.keys().all(|key| key.is_ascii()) && fields.keys().is_sorted();
    if in_order {
        write_fields(&mut fields.iter())?;
    } else {
        let mut sorted: Vec<_> = fields.iter().collect();
        sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
        write_fields(&mut sorted.into_iter())?;
    }
    out.push(b'}');
    Ok(())
}

pub(crate) fn write_number(out: &mut Vec<u8>, mut number: u64) -> Result<(), CanonicalError> {
    if number > LIMIT {
        return Err(CanonicalError::InexactNumber);
    }
    let mut digits = [0; 16];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            out.extend_from_slice(&digits[start..]);
            return Ok(());
        }
    }
}

/// serde_json's escapes are those of RFC 8785 §3.2.2.2; most text needs none.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) -> Result<(), CanonicalError> {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        return Ok(serde_json::to_writer(out, text)?);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn sorts_keys_and_drops_space() {
        let bytes = canonical_json(&json!({"b": 1, "a": ["x", null, true]})).unwrap();
        assert_eq!(bytes, br#"{"a":["x",null,true],"b":1}"#);
    }

    #[test]
    fn refuses_what_is_not_exact() {
        for bad in [json!(1.5), json!({"a": [9_007_199_254_740_992_u64]})] {
            assert!(matches!(canonical_json(&bad), Err(CanonicalError::InexactNumber)));
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![".*", "[\u{0}-\u{7F}]*", "[\u{E000}-\u{1F600}]*"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(LIMIT as i64)..=LIMIT as i64).prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((text.clone(), inner), 0..8)
                    .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_the_reference(value in any_value()) {
            let expected = serde_json_canonicalizer::to_vec(&value).unwrap();
            prop_assert_eq!(canonical_json(&value).unwrap(), expected);
        }

        #[test]
        fn is_a_fixed_point(text in ".*", number in -1_000_000_i64..1_000_000) {
            let first = canonical_json(&json!({"t": text, "n": number, text.clone(): 0})).unwrap();
            let again: Value = serde_json::from_slice(&first).unwrap();
            prop_assert_eq!(canonical_json(&again).unwrap(), first);
        }
    }
}
