//! Rules over Rust code: how a file opens, how long it is, and what it may not say.

use proc_macro2::Delimiter;

use super::budget::Budget;
use crate::finding::Finding;
use crate::source::{self, Node, Source};
use crate::tree;

pub fn check(source: &Source, budget: &Budget) -> Vec<Finding> {
    let mut findings = check_shape(source, budget);
    let may_ask_platform = source.is_test || tree::listed(&source.path, &budget.platform.files);
    let may_make_colour = source.is_test || tree::listed(&source.path, &budget.colour.files);
    source.each(&mut |nodes| {
        let line = nodes[0].line();
        let mut fault = |rule, text: &str| {
            findings.push(Finding::new(&source.path, rule, text).at(line));
        };
        if let Some(text) = unfinished(nodes) {
            fault("unfinished", text);
        }
        if let Some(text) = panics(nodes) {
            fault("panic", text);
        }
        if allows(nodes) {
            fault("allow", "use #[expect(.., reason = \"..\")], which ends when it is not needed");
        }
        if is_unbounded(nodes) {
            fault("unbounded", "every queue is bounded: name its capacity");
        }
        if !may_ask_platform && asks_platform(nodes) {
            fault("platform", "platforms differ only in the files that the budget lists");
        }
        if !may_make_colour && makes_colour(nodes) {
            fault("colour", "take the colour from the design tokens");
        }
    });
    findings
}

fn check_shape(source: &Source, budget: &Budget) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fault = |rule, text: String| findings.push(Finding::new(&source.path, rule, text));
    if !source.text.starts_with("//! ") {
        fault("opening", "open with one `//!` line that says what this file is".to_owned());
    }
    if let Some(why) = &source.broken {
        fault("syntax", why.clone());
    }
    let all = source.text.lines().count();
    let code = if source.is_test { 0 } else { all.saturating_sub(source.test_lines) };
    let (soft, hard) = (budget.lines.soft, budget.lines.hard);
    if all > hard {
        fault("length", format!("{all} lines, {hard} are the most: split it by subject"));
    } else if code > soft {
        let text = format!("{code} lines of code, {soft} are enough for one subject");
        findings.push(Finding::new(&source.path, "length", text).warning());
    }
    findings
}

fn unfinished(nodes: &[Node]) -> Option<&'static str> {
    let [name, bang, ..] = nodes else { return None };
    if !bang.is_mark('!') {
        return None;
    }
    match name.word()? {
        "todo" | "unimplemented" => Some("finish it, or return an error that says what is missing"),
        "dbg" => Some("remove the trace"),
        _ => None,
    }
}

/// `.unwrap()` never; `.expect("BUG: ..")` for what cannot be. A parser's own `expect(b'x')` is
/// another thing: its argument is neither text nor computed.
fn panics(nodes: &[Node]) -> Option<&'static str> {
    let [dot, name, arguments, ..] = nodes else { return None };
    let arguments = arguments.group(Delimiter::Parenthesis).filter(|_| dot.is_mark('.'))?;
    match name.word()? {
        "unwrap" | "unwrap_err" | "expect_err" => Some("return the error, or expect(\"BUG: why\")"),
        "expect" if !is_invariant(arguments) => Some("expect is for invariants: \"BUG: why\""),
        _ => None,
    }
}

fn is_invariant(arguments: &[Node]) -> bool {
    match arguments.first() {
        Some(Node::Literal(literal, _)) if literal.starts_with(['b', '\'']) => true,
        Some(Node::Literal(literal, _)) => {
            literal.trim_start_matches(['r', '#']).starts_with("\"BUG: ")
        }
        _ => false,
    }
}

/// `#[allow(..)]`, `#![allow(..)]`, and either within a `cfg_attr`.
fn allows(nodes: &[Node]) -> bool {
    let content = match nodes {
        [hash, content, ..] if hash.is_mark('#') => content.group(Delimiter::Bracket),
        _ => None,
    };
    let content = content.or_else(|| match nodes {
        [hash, bang, content, ..] if hash.is_mark('#') && bang.is_mark('!') => {
            content.group(Delimiter::Bracket)
        }
        _ => None,
    });
    match content {
        Some([name, ..]) if name.is_word("allow") => true,
        Some([name, inside]) if name.is_word("cfg_attr") => {
            let mut found = false;
            source::each(std::slice::from_ref(inside), &mut |nodes| {
                let follows =
                    nodes.get(1).is_some_and(|node| node.group(Delimiter::Parenthesis).is_some());
                found |= nodes[0].is_word("allow") && follows;
            });
            found
        }
        _ => false,
    }
}

/// Tokio's, crossbeam's and futures' unbounded queues, and std's `mpsc::channel()`: its bounded
/// namesakes take a capacity.
fn is_unbounded(nodes: &[Node]) -> bool {
    match nodes {
        [name, ..] if matches!(name.word(), Some("unbounded_channel" | "UnboundedSender")) => true,
        [name, call, ..] if name.is_word("unbounded") => {
            call.group(Delimiter::Parenthesis).is_some()
        }
        [mpsc, one, two, name, after @ ..]
            if mpsc.is_word("mpsc")
                && one.is_mark(':')
                && two.is_mark(':')
                && name.is_word("channel") =>
        {
            let mut statement = after.iter().take_while(|node| !node.is_mark(';'));
            let call = statement.find_map(|node| node.group(Delimiter::Parenthesis));
            call.is_some_and(<[Node]>::is_empty)
        }
        _ => false,
    }
}

/// `cfg(..)`, `cfg!(..)` and `cfg_attr(..)` that name an operating system or its family.
fn asks_platform(nodes: &[Node]) -> bool {
    let condition = match nodes {
        [name, bang, condition, ..] if name.is_word("cfg") && bang.is_mark('!') => condition,
        [name, condition, ..] if matches!(name.word(), Some("cfg" | "cfg_attr")) => condition,
        _ => return false,
    };
    if condition.group(Delimiter::Parenthesis).is_none() {
        return false;
    }
    let mut found = false;
    source::each(std::slice::from_ref(condition), &mut |nodes| {
        let names = ["target_os", "target_family", "unix", "windows"];
        found |= nodes[0].word().is_some_and(|word| names.contains(&word));
    });
    found
}

/// Any `Color32::X` or `Rgba::X` but the absence of a colour.
fn makes_colour(nodes: &[Node]) -> bool {
    match nodes {
        [name, one, two, what, ..] if one.is_mark(':') && two.is_mark(':') => {
            matches!(name.word(), Some("Color32" | "Rgba"))
                && !matches!(what.word(), Some("TRANSPARENT" | "PLACEHOLDER"))
        }
        [name, bang, ..] => name.is_word("hex_color") && bang.is_mark('!'),
        _ => false,
    }
}
