//! Each rule fails on a tree that breaks it, and a tidy tree passes.

use super::*;

const BUDGET_TEXT: &str = r#"
lock = [{ file = "Cargo.lock", packages = 2 }]

[lines]
soft = 20
hard = 40
architecture = 5

[platform]
files = ["crates/host/"]

[colour]
files = ["crates/ui/src/tokens"]

[machine_paths]
files = ["crates/harness/"]
"#;

const ROOT: &str = "[workspace]\nmembers = [\"a\"]\n\n[workspace.lints.rust]\nunsafe_code = \"deny\"\n\n\
                    [workspace.lints.clippy]\ntodo = \"deny\"\n";
const MEMBER: &str = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";
const LOCK: &str = "[[package]]\nname = \"a\"\n\n[[package]]\nname = \"b\"\n";

/// The tidy house with these files added or put in the place of its own.
fn rules(changes: &[(&str, &str)]) -> Vec<(&'static str, bool)> {
    let house = [
        ("Cargo.toml", ROOT),
        ("Cargo.lock", LOCK),
        ("a/Cargo.toml", MEMBER),
        ("a/src/lib.rs", "//! A crate.\n\npub fn f() {}\n"),
        ("docs/architecture.md", "# Architecture\n"),
    ];
    let mut files: BTreeMap<&str, &str> = house.into_iter().collect();
    files.extend(changes.iter().copied());
    let files: Vec<(&str, &str)> = files.into_iter().collect();
    let folder = tempfile::tempdir().expect("a folder");
    let tree = Tree::made(folder.path(), &files);
    let budget = Budget::parse(BUDGET_TEXT).expect("a good budget");
    check_tree(&tree, &budget)
        .expect("checked")
        .into_iter()
        .map(|finding| (finding.rule, finding.warning))
        .collect()
}

fn code(text: &str) -> Vec<(&'static str, bool)> {
    rules(&[("a/src/lib.rs", &format!("//! A crate.\n{text}\n"))])
}

#[test]
fn a_tidy_house_passes() {
    assert_eq!(rules(&[]), []);
}

#[test]
fn a_file_says_what_it_is() {
    assert_eq!(rules(&[("a/src/lib.rs", "pub fn f() {}\n")]), [("opening", false)]);
    assert_eq!(rules(&[("a/tests/t.rs", "// A test.\n")]), [("opening", false)]);
}

#[test]
fn a_file_that_is_no_rust_is_said() {
    assert_eq!(code("fn f( {"), [("syntax", false)]);
}

#[test]
fn length_is_warned_about_then_refused() {
    let lines = |count: usize| "pub const A: u8 = 1;\n".repeat(count);
    let file = |count: usize| format!("//! A crate.\n{}", lines(count));
    assert_eq!(rules(&[("a/src/lib.rs", &file(19))]), []);
    assert_eq!(rules(&[("a/src/lib.rs", &file(20))]), [("length", true)]);
    assert_eq!(rules(&[("a/src/lib.rs", &file(40))]), [("length", false)]);
    assert_eq!(rules(&[("a/tests/long.rs", &file(38))]), []);
    assert_eq!(rules(&[("a/tests/long.rs", &file(40))]), [("length", false)]);
    let with_tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", file(10), lines(15));
    assert_eq!(rules(&[("a/src/lib.rs", &with_tests)]), []);
}

#[test]
fn nothing_is_left_unfinished() {
    for text in ["fn f() { todo!() }", "fn f() { unimplemented!(\"x\") }", "fn f() { dbg!(1); }"] {
        assert_eq!(code(text), [("unfinished", false)], "{text}");
    }
}

#[test]
fn only_an_invariant_may_panic() {
    for text in [
        "fn f() { g().unwrap(); }",
        "fn f() { assert!(g().unwrap()); }",
        "fn f() { g().unwrap_err(); }",
        "fn f() { g().expect(\"works\"); }",
        "fn f() { g().expect(&why); }",
        "fn f() { g().expect_err(\"BUG: x\"); }",
    ] {
        assert_eq!(code(text), [("panic", false)], "{text}");
    }
    for text in [
        "fn f() { g().expect(\"BUG: counted above\"); }",
        "fn f() { g().expect(r#\"BUG: counted above\"#); }",
        "fn f() { parser.expect(b'['); }",
        "fn f() { g().unwrap_or_default(); }",
        "#[cfg(test)] mod tests { fn f() { g().unwrap(); } }",
    ] {
        assert_eq!(code(text), [], "{text}");
    }
}

#[test]
fn a_lint_is_expected_not_allowed() {
    for text in [
        "#[allow(dead_code)] fn f() {}",
        "#![allow(dead_code)]",
        "#[cfg_attr(debug_assertions, allow(dead_code))] fn f() {}",
    ] {
        assert_eq!(code(text), [("allow", false)], "{text}");
    }
    assert_eq!(code("#[expect(dead_code, reason = \"r\")] fn allow() {}"), []);
}

#[test]
fn queues_are_bounded() {
    for text in [
        "fn f() { tokio::sync::mpsc::unbounded_channel(); }",
        "fn f() { crossbeam_channel::unbounded(); }",
        "fn f() { std::sync::mpsc::channel::<u8>(); }",
    ] {
        assert_eq!(code(text), [("unbounded", false)], "{text}");
    }
    assert_eq!(code("fn f() { mpsc::channel::<u8>(8); mpsc::sync_channel(8); }"), []);
}

#[test]
fn platforms_differ_only_where_listed() {
    for text in [
        "#[cfg(target_os = \"linux\")] fn f() {}",
        "#[cfg(all(unix, feature = \"x\"))] fn f() {}",
        "#[cfg_attr(windows, path = \"w.rs\")] mod w;",
        "fn f() { if cfg!(target_os = \"macos\") {} }",
    ] {
        assert_eq!(code(text), [("platform", false)], "{text}");
        let listed = format!("//! Listed.\n{text}\n");
        assert_eq!(rules(&[("crates/host/src/lib.rs", &listed)]), [], "{text}");
    }
    assert_eq!(code("#[cfg(feature = \"unix\")] fn unix() {}"), []);
}

#[test]
fn colours_are_tokens() {
    for text in [
        "const C: Color32 = Color32::from_rgb(1, 2, 3);",
        "const C: Color32 = Color32::RED;",
        "const C: Color32 = hex_color!(\"#123456\");",
    ] {
        assert_eq!(code(text), [("colour", false)], "{text}");
        let loader = format!("//! Tokens.\n{text}\n");
        assert_eq!(rules(&[("crates/ui/src/tokens/load.rs", &loader)]), [], "{text}");
    }
    assert_eq!(code("const C: Color32 = Color32::TRANSPARENT;"), []);
}

#[test]
fn lints_hold_in_every_crate_and_every_workspace() {
    assert_eq!(rules(&[("a/Cargo.toml", "[package]\nname = \"a\"\n")]), [("lints", false)]);
    assert_eq!(
        rules(&[("a/Cargo.toml", "[package]\nname = \"a\"\n[lints]\nworkspace = false\n")]),
        [("lints", false)]
    );
    assert_eq!(
        rules(&[("b/Cargo.toml", &format!("{ROOT}dbg_macro = \"deny\"\n"))]),
        [("lints", false)]
    );
    assert_eq!(rules(&[("b/Cargo.toml", &format!("{ROOT}\n{MEMBER}"))]), []);
    assert_eq!(rules(&[("Cargo.toml", "[workspace]\n")]), [("lints", false)]);
    assert_eq!(rules(&[("a/Cargo.toml", "[package\n")]), [("manifest", false)]);
}

#[test]
fn growth_of_a_lock_file_is_counted() {
    let grown = format!("{LOCK}\n[[package]]\nname = \"c\"\n");
    assert_eq!(rules(&[("Cargo.lock", &grown)]), [("packages", false)]);
    assert_eq!(rules(&[("Cargo.lock", "[[package]]\nname = \"a\"\n")]), [("packages", true)]);
    assert_eq!(rules(&[("b/Cargo.lock", LOCK)]), [("packages", false)]);
}

#[test]
fn no_text_names_a_machine() {
    let text = format!("See {}home/ann/notes/a.md for more.\n", '/');
    assert_eq!(rules(&[("README.md", &text)]), [("machine-path", false)]);
    assert_eq!(rules(&[("crates/harness/README.md", &text)]), []);
}

#[test]
fn the_architecture_stays_short() {
    assert_eq!(rules(&[("docs/architecture.md", &"a line\n".repeat(5))]), []);
    assert_eq!(rules(&[("docs/architecture.md", &"a line\n".repeat(6))]), [("length", false)]);
}

#[test]
fn the_real_budget_is_read() {
    let budget = Budget::parse(include_str!("../../budget.toml")).expect("the house's own budget");
    assert!(budget.lines.soft < budget.lines.hard);
    assert!(budget.locks.iter().all(|lock| lock.packages > 0));
}
