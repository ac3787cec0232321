//! What goes to standard output and standard error, for people or for programs.

use domain::ErrorBody;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    io::Write,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

#[derive(Debug)]
pub struct Output {
    json: bool,
    /// Standard output holds one object: after it, an error goes to standard error.
    has_result: AtomicBool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json, has_result: AtomicBool::new(false) }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The command's result: the object for programs, `text` for people.
    pub fn result<T: Serialize>(&self, object: &T, text: impl FnOnce() -> String) {
        self.has_result.store(true, Relaxed);
        if self.json {
            let value = serde_json::to_value(object).unwrap_or(Value::Null);
            print_line(&value.to_string());
        } else {
            print_line(text().trim_end());
        }
    }

    /// Progress for people; programs read the result.
    pub fn note(&self, text: impl AsRef<str>) {
        let mut stderr = std::io::stderr().lock();
        let _closed = writeln!(stderr, "{}", text.as_ref());
    }

    pub fn error(&self, error: &ErrorBody) {
        if self.json {
            let mut body = json!({
                "code": error.code,
                "message": error.message,
                "retryable": error.retryable,
            });
            if let Some(hint) = &error.hint {
                body["hint"] = json!(hint);
            }
            let line = json!({ "error": body }).to_string();
            if self.has_result.load(Relaxed) { self.note(line) } else { print_line(&line) }
        } else {
            self.note(format!("error: {}", error.message));
            if let Some(hint) = &error.hint {
                self.note(format!("hint: {hint}"));
            }
        }
    }
}

/// A closed pipe is the reader's choice, not an error.
pub fn print_line(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _closed = writeln!(stdout, "{text}");
}
