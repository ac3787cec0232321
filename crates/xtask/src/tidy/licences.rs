//! The policy of `deny.toml`, held from what Cargo knows: licences, bans and sources.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use spdx::{Expression, ParseMode};

use super::POLICY;
use crate::finding::Finding;
use crate::metadata::Package;

/// The part of `deny.toml` that is held here; `cargo deny`, where it is installed, reads it all.
#[derive(Debug, Deserialize)]
pub struct Policy {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    package: String,
    allow: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    package: String,
    reason: String,
}

impl Policy {
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(toml::from_str(text)?)
    }

    pub fn check<'a>(&self, packages: impl Iterator<Item = &'a Package>) -> Vec<Finding> {
        let exceptions: BTreeMap<&str, &BTreeSet<String>> =
            self.licenses.exceptions.iter().map(|one| (one.package.as_str(), &one.allow)).collect();
        let mut findings = Vec::new();
        for package in packages {
            let mut fault = |rule, text: String| {
                let text = format!("{} {}: {text}", package.name, package.version);
                findings.push(Finding::new(POLICY, rule, text));
            };
            if let Some(ban) = self.bans.deny.iter().find(|ban| ban.package == package.name) {
                fault("ban", format!("banned: {}", ban.reason));
            }
            let Some(source) = &package.source else { continue };
            if !source.starts_with("registry+") {
                fault("source", format!("comes from {source}, not from the registry"));
            }
            let exception = exceptions.get(package.name.as_str()).copied();
            if let Some(text) = self.licence_fault(package.license.as_deref(), exception) {
                fault("licence", text);
            }
        }
        findings
    }

    fn licence_fault(
        &self,
        stated: Option<&str>,
        exception: Option<&BTreeSet<String>>,
    ) -> Option<String> {
        let Some(stated) = stated else {
            return Some("states no licence that can be read".to_owned());
        };
        let expression = match Expression::parse_mode(stated, ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => return Some(format!("{stated:?} is no licence expression: {error}")),
        };
        let allowed = expression.evaluate(|required| {
            let licence = required.to_string();
            self.licenses.allow.contains(&licence)
                || exception.is_some_and(|more| more.contains(&licence))
        });
        (!allowed).then(|| format!("{stated} is not on the list"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY_TEXT: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"]
        exceptions = [{ crate = "tinted", allow = ["MPL-2.0"] }]
        [bans]
        deny = [{ crate = "openssl", reason = "TLS is rustls" }]
        [sources]
        unknown-git = "deny"
    "#;

    fn rules(name: &str, license: Option<&str>, source: Option<&str>) -> Vec<&'static str> {
        let package = Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            source: source.map(str::to_owned),
            manifest_path: "Cargo.toml".into(),
            dependencies: Vec::new(),
        };
        let policy = Policy::parse(POLICY_TEXT).expect("a good policy");
        policy.check([&package].into_iter()).iter().map(|finding| finding.rule).collect()
    }

    const REGISTRY: Option<&str> = Some("registry+somewhere");

    #[test]
    fn a_listed_licence_passes_however_it_is_written() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-2.0-only OR Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert_eq!(rules("a", Some(good), REGISTRY), [""; 0], "{good}");
        }
    }

    #[test]
    fn an_unlisted_or_unreadable_licence_fails() {
        for bad in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "MPL-2.0", "ask me"] {
            assert_eq!(rules("a", Some(bad), REGISTRY), ["licence"], "{bad}");
        }
        assert_eq!(rules("a", None, REGISTRY), ["licence"]);
    }

    #[test]
    fn an_exception_is_for_one_package() {
        assert_eq!(rules("tinted", Some("MPL-2.0"), REGISTRY), [""; 0]);
        assert_eq!(rules("other", Some("MPL-2.0"), REGISTRY), ["licence"]);
    }

    #[test]
    fn bans_and_sources_hold() {
        assert_eq!(rules("openssl", Some("MIT"), REGISTRY), ["ban"]);
        assert_eq!(rules("a", Some("MIT"), Some("git+somewhere")), ["source"]);
        assert_eq!(rules("ours", None, None), [""; 0]);
    }

    #[test]
    fn the_real_policy_is_read() {
        let policy = Policy::parse(include_str!("../../../../deny.toml")).expect("deny.toml");
        assert!(policy.licenses.allow.contains("Apache-2.0"));
        assert!(policy.bans.deny.iter().any(|ban| ban.package == "openssl-sys"));
    }
}
