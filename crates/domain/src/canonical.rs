//! Canonical JSON (RFC 8785): the one byte form that is hashed and signed.

use serde::Serialize;
use serde_json::Value;

/// Why a value has no canonical form here.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    #[error("an event holds a number that is not an exact integer below 2^53")]
    InexactNumber,
    #[error("the value cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The RFC 8785 bytes of `value`. Floats and integers beyond ±(2^53-1) are refused.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value)?;
    check_numbers(&value)?;
    Ok(serde_json_canonicalizer::to_vec(&value)?)
}

fn check_numbers(value: &Value) -> Result<(), CanonicalError> {
    const LIMIT: u64 = (1 << 53) - 1;
    match value {
        Value::Number(number) => {
            let exact = number.as_u64().is_some_and(|n| n <= LIMIT)
                || number.as_i64().is_some_and(|n| n.unsigned_abs() <= LIMIT);
            if exact { Ok(()) } else { Err(CanonicalError::InexactNumber) }
        }
        Value::Array(items) => items.iter().try_for_each(check_numbers),
        Value::Object(fields) => fields.values().try_for_each(check_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
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

    proptest! {
        #[test]
        fn is_a_fixed_point(text in ".*", number in -1_000_000_i64..1_000_000) {
            let first = canonical_json(&json!({"t": text, "n": number, text.clone(): 0})).unwrap();
            let again: Value = serde_json::from_slice(&first).unwrap();
            prop_assert_eq!(canonical_json(&again).unwrap(), first);
        }
    }
}
