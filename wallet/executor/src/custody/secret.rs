//! Passphrases in calls: taken out of the parameters, never in an error.

use domain::{ErrorBody, ExitCode};
use host::secret::LONGEST_BYTES;
use serde_json::Value;
use zeroize::Zeroizing;

/// Takes the text of this name out of a call's parameters; `None` where there is none.
///
/// # Errors
///
/// It is no text, empty or too long.
pub fn take(params: &mut Value, name: &str) -> Result<Option<Zeroizing<String>>, ErrorBody> {
    let text = match params.get_mut(name).map(Value::take) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => Zeroizing::new(text),
        Some(_) => return Err(bad(format!("{name} is no text"))),
    };
    if text.is_empty() || text.len() > LONGEST_BYTES {
        return Err(bad(format!("{name} has 1 to {LONGEST_BYTES} bytes")));
    }
    Ok(Some(text))
}

/// The same, where it must be there.
///
/// # Errors
///
/// As [`take`], or it is not there.
pub fn needed(params: &mut Value, name: &str) -> Result<Zeroizing<String>, ErrorBody> {
    take(params, name)?.ok_or_else(|| bad(format!("{name} is needed")))
}

fn bad(why: String) -> ErrorBody {
    ErrorBody::new("invalid_params", format!("{why}; nothing was done.")).exit(ExitCode::Usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_is_taken_out_and_no_error_repeats_it() {
        let mut params = json!({ "passphrase": "correct horse", "new": ["secret one"] });
        assert_eq!(needed(&mut params, "passphrase").unwrap().as_str(), "correct horse");
        assert!(!params.to_string().contains("correct"));
        let error = take(&mut params, "new").unwrap_err();
        assert!(!error.to_string().contains("secret one"));
        assert!(needed(&mut json!({}), "passphrase").is_err());
        assert!(take(&mut json!("text"), "passphrase").unwrap().is_none());
    }
}
