//! A bought result as people read it: what a command wrote, else the text, JSON set out in lines.

use serde::Serialize;
use serde_json::Value;

use super::words;

/// A result made ready to be read and copied. A stranger wrote it: it is cleaned of what hides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResultText {
    /// What matters first, each part with its name.
    pub parts: Vec<(&'static str, String)>,
    /// Everything, where the parts are not all of it.
    pub whole: Option<String>,
}

impl ResultText {
    pub fn of(text: &str) -> Self {
        let Ok(json) = serde_json::from_str::<Value>(text) else {
            return Self { parts: vec![("Text", words::lines(text))], whole: None };
        };
        let pretty = serde_json::to_string_pretty(&json).unwrap_or_else(|_| text.to_owned());
        let whole = words::lines(&pretty);
        let parts = written(&json);
        if parts.is_empty() {
            return Self { parts: vec![("Data", whole)], whole: None };
        }
        Self { parts, whole: Some(whole) }
    }

    /// What copying it gives.
    pub fn copied(&self) -> String {
        match &self.whole {
            Some(whole) => whole.clone(),
            None => self.parts.iter().map(|(_, text)| text.as_str()).collect(),
        }
    }
}

/// What a command wrote and how it ended, or the text that was extracted, where this is such.
fn written(json: &Value) -> Vec<(&'static str, String)> {
    if let Some(text) = json.get("text").and_then(Value::as_str) {
        return vec![("Text", words::lines(text))];
    }
    let stream = |name: &str| json.get(name)?.get("text")?.as_str();
    let Some(output) = stream("stdout") else { return Vec::new() };
    let mut parts = vec![("Output", words::lines(output))];
    if let Some(errors) = stream("stderr").filter(|text| !text.is_empty()) {
        parts.push(("Errors", words::lines(errors)));
    }
    if let Some(code) = json.get("exit_code").and_then(Value::as_i64) {
        parts.push(("Exit code", code.to_string()));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_command_wrote_stands_first() {
        let json = r#"{"exit_code":2,"stdout":{"text":"a\u001b[31mb\n","total_bytes":3},
            "stderr":{"text":"no such file","total_bytes":12}}"#;
        let result = ResultText::of(json);
        let parts: Vec<(&str, &str)> =
            result.parts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        assert_eq!(
            parts,
            [("Output", "a [31mb\n"), ("Errors", "no such file"), ("Exit code", "2")]
        );
        assert!(result.copied().contains("\"exit_code\": 2"));
    }

    #[test]
    fn other_results_are_shown_as_they_are() {
        let text = ResultText::of("# Title\r\n\tText\u{202e}");
        assert_eq!(text.parts, [("Text", "# Title\n\tText ".to_owned())]);
        assert_eq!(text.copied(), "# Title\n\tText ");
        let extracted = ResultText::of(r#"{"method":"html","text":"Title\nText"}"#);
        assert_eq!(extracted.parts, [("Text", "Title\nText".to_owned())]);
        assert!(extracted.copied().contains("method"));
        let data = ResultText::of(r#"{"files":[1,2]}"#);
        assert_eq!(data.parts[0].0, "Data");
        assert!(data.copied().contains("  \"files\": ["));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            let _shown = ResultText::of(&text).copied();
        }
    }
}
