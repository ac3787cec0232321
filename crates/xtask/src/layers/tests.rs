//! The table refuses each kind of breach, and lets a good house stand.

use super::*;
use crate::process;

const TABLE_TEXT: &str = r#"
workspaces = ["."]
layer = [
  { name = "words", pure = true },
  { name = "machines", pure = true },
  { name = "adapters" },
  { name = "programs" },
]

[crate.domain]
folder = "crates/domain"
layer = "words"

[crate.jobs]
folder = "jobs"
layer = "machines"

[crate.money]
folder = "money"
layer = "machines"
siblings = ["jobs"]

[crate.store]
folder = "crates/store"
layer = "adapters"
only = ["domain"]

[crate.app]
folder = "app"
layer = "programs"

[crate.practice]
folder = "practice"
layer = "programs"
dev = ["app"]

[pure]
crates = ["tokio", "tokio-*", "rand_core"]
names = ["std::fs", "SystemTime::now"]

[[hold]]
what = ["rusqlite", "sqlx*"]
except = ["sqlx-words"]
by = ["store"]
why = "the log has one home"
"#;

fn table() -> Table {
    Table::parse(TABLE_TEXT).expect("a good table")
}

/// A package as `cargo metadata` prints it; internal dependencies are those that the table knows.
fn package(name: &str, folder: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
    let table = table();
    let dependencies: Vec<serde_json::Value> = dependencies
        .iter()
        .map(|(name, kind)| {
            let path = table.crates.get(*name).map(|entry| format!("/house/{}", entry.folder));
            serde_json::json!({ "name": name, "kind": kind, "path": path, "req": "*" })
        })
        .collect();
    let json = serde_json::json!({ "packages": [{
        "name": name,
        "version": "0.1.0",
        "license": "Apache-2.0",
        "source": null,
        "manifest_path": format!("/house/{folder}/Cargo.toml"),
        "dependencies": dependencies,
    }] });
    metadata::parse(&json.to_string()).expect("as Cargo prints it").packages.remove(0)
}

fn found(package: Package) -> Vec<(&'static str, String)> {
    check_packages(&table(), Path::new("/house"), &[package])
        .into_iter()
        .map(|finding| (finding.rule, finding.text))
        .collect()
}

fn assert_refused(package: Package, rule: &str, says: &str) {
    let findings = found(package);
    assert!(
        findings.iter().any(|(found, text)| *found == rule && text.contains(says)),
        "expected {rule} with {says:?} in {findings:?}"
    );
    assert_eq!(findings.len(), 1, "{findings:?}");
}

#[test]
fn a_good_house_stands() {
    let good = [
        package("domain", "crates/domain", &[("serde", None)]),
        package("jobs", "jobs", &[("domain", None), ("tokio", Some("dev")), ("sqlx-words", None)]),
        package("money", "money", &[("domain", None), ("jobs", None)]),
        package("store", "crates/store", &[("domain", None), ("rusqlite", None), ("tokio", None)]),
        package("app", "app", &[("store", None), ("jobs", None), ("domain", None)]),
        package("practice", "practice", &[("app", Some("dev")), ("rusqlite", Some("dev"))]),
    ];
    assert_eq!(check_packages(&table(), Path::new("/house"), &good), []);
}

#[test]
fn arrows_never_point_up_or_sideways() {
    assert_refused(package("domain", "crates/domain", &[("jobs", None)]), "arrow", "look up");
    assert_refused(package("jobs", "jobs", &[("store", Some("dev"))]), "arrow", "look up");
    assert_refused(package("jobs", "jobs", &[("store", Some("build"))]), "arrow", "look up");
    assert_refused(package("jobs", "jobs", &[("money", None)]), "arrow", "siblings");
    assert_refused(package("practice", "practice", &[("app", None)]), "arrow", "siblings");
}

#[test]
fn a_list_is_the_whole_list() {
    assert_refused(package("store", "crates/store", &[("jobs", None)]), "arrow", "list");
}

#[test]
fn a_pure_crate_links_no_runtime() {
    assert_refused(package("jobs", "jobs", &[("tokio-util", None)]), "pure", "tokio-util");
    assert_refused(package("jobs", "jobs", &[("rand-core", Some("build"))]), "pure", "rand-core");
    let reach = BTreeSet::from(["serde".to_owned(), "tokio".to_owned()]);
    let findings = check_reach(&table(), "jobs", &reach);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].text.contains("links tokio"), "{findings:?}");
}

#[test]
fn a_privilege_has_its_holder() {
    assert_refused(package("app", "app", &[("rusqlite", None)]), "hold", "store only");
    assert_refused(package("app", "app", &[("sqlx-core", None)]), "hold", "one home");
}

#[test]
fn every_crate_has_its_place() {
    assert_refused(package("stray", "crates/stray", &[]), "place", "no place");
    assert_refused(package("jobs", "crates/jobs", &[]), "place", "belongs in jobs");
    let folder = tempfile::tempdir().expect("a folder");
    let manifests =
        [("Cargo.toml", "[workspace]\n"), ("lost/Cargo.toml", "[package]\nname = \"lost\"\n")];
    let tree = Tree::made(folder.path(), &manifests);
    let findings = check_membership(&tree, folder.path(), &[]).expect("checked");
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].path, "lost/Cargo.toml");
}

#[test]
fn pure_code_names_no_clock_and_no_file() {
    let check = |path: &str, text: &str| {
        let source = Source::parse(path, text.to_owned());
        assert_eq!(source.broken, None);
        check_names(&table(), &[source]).len()
    };
    assert_eq!(check("jobs/src/lib.rs", "use std::fs;"), 1);
    assert_eq!(check("jobs/src/a/b.rs", "use std::{collections::BTreeMap, fs::File};"), 1);
    assert_eq!(check("jobs/src/lib.rs", "fn f() { std::time::SystemTime::now(); }"), 1);
    assert_eq!(check("jobs/src/lib.rs", "fn f() { my::fs::read(); self.now() }"), 0);
    assert_eq!(check("jobs/src/lib.rs", "#[cfg(test)] mod tests { use std::fs; }"), 0);
    assert_eq!(check("crates/store/src/lib.rs", "use std::fs;"), 0);
}

#[test]
fn a_table_that_contradicts_itself_is_refused() {
    let broken = [
        ("layer = \"words\"", "layer = \"cellar\"", "not listed"),
        ("siblings = [\"jobs\"]", "siblings = [\"ghost\"]", "ghost"),
        ("siblings = [\"jobs\"]", "siblings = [\"store\"]", "no sibling"),
        ("by = [\"store\"]", "by = [\"ghost\"]", "ghost"),
        ("dev = [\"app\"]", "devs = [\"app\"]", "unknown field"),
    ];
    for (good, bad, says) in broken {
        let text = TABLE_TEXT.replacen(good, bad, 1);
        assert_ne!(text, TABLE_TEXT);
        let error = Table::parse(&text).expect_err("refused");
        assert!(format!("{error:#}").contains(says), "{error:#}");
    }
}

/// Through Cargo and git themselves, as the command runs: first a good repository, then one whose
/// words have learnt to look up.
#[test]
fn a_real_workspace_is_read() {
    let manifest = |name: &str, dependencies: &str| {
        format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}"
        )
    };
    let words = manifest("words", "");
    let store = manifest("store", "words = { path = \"../words\" }\n");
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a real path");
    let made = |files: &[(&str, &str)]| Tree::made(&root, files);
    made(&[
        ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"words\", \"store\"]\n"),
        ("words/Cargo.toml", &words),
        ("words/src/lib.rs", "//! Words.\n"),
        ("store/Cargo.toml", &store),
        ("store/src/lib.rs", "//! A store.\n"),
        (
            TABLE,
            "workspaces = [\".\"]\nhold = []\n\
             layer = [{ name = \"low\", pure = true }, { name = \"high\" }]\n\
             [crate.words]\nfolder = \"words\"\nlayer = \"low\"\n\
             [crate.store]\nfolder = \"store\"\nlayer = \"high\"\n\
             [pure]\ncrates = [\"tokio\"]\nnames = [\"std::fs\"]\n",
        ),
    ]);
    process::run(process::program("git", &root).args(["init", "--quiet"])).expect("git");
    let lock = || {
        let mut cargo = process::cargo(&root);
        process::output(cargo.args(["generate-lockfile", "--offline"])).expect("a lock file");
    };
    let check = || check_repository(&root).expect("checked");

    lock();
    assert_eq!(check(), []);

    made(&[
        ("words/Cargo.toml", &manifest("words", "store = { path = \"../store\" }\n")),
        ("words/src/lib.rs", "//! Words.\nuse std::fs;\n"),
        ("store/Cargo.toml", &manifest("store", "")),
        ("stray/Cargo.toml", &format!("{}\n[workspace]\n", manifest("stray", ""))),
    ]);
    lock();
    let found: Vec<(String, &str)> =
        check().into_iter().map(|finding| (finding.path, finding.rule)).collect();
    let at = |path: &str, rule| (path.to_owned(), rule);
    assert_eq!(
        found,
        [
            at("words/Cargo.toml", "arrow"),
            at("stray/Cargo.toml", "place"),
            at("words/src/lib.rs", "pure")
        ]
    );
}

#[test]
fn the_real_table_holds_together() {
    let table = Table::parse(include_str!("../../layers.toml")).expect("the house's own table");
    for pure in ["domain", "nip90", "wallet", "engine", "safety"] {
        assert!(table.is_pure(pure), "{pure}");
    }
    assert!(!table.is_pure("store") && !table.is_pure("desk"));
    let holders = |package: &str| {
        let hold = table.holds.iter().find(|hold| hold.covers(package)).expect("held");
        hold.by.iter().map(String::as_str).collect::<Vec<_>>()
    };
    assert_eq!(holders("rusqlite"), ["store"]);
    assert_eq!(holders("egui_extras"), ["ui", "pilothouse"]);
    let lightning =
        ["pilothouse-wallet", "pilothouse-practice", "pilothouse-practice-mint", "ldk-durable"];
    assert_eq!(holders("ldk-node"), lightning);
    assert!(!table.holds.iter().any(|hold| hold.covers("lightning-invoice")));
}
