//! `doctor`: what is missing on this machine, and how to get it.

use domain::ErrorBody;
use host::supervise;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};

use super::{Context, status::items};

pub(super) async fn run(context: &Context) -> Result<(), ErrorBody> {
    let home = context.home()?;
    let mut checks = json!([
        program("pilothouse-wallet", "The wallet's own process; build it with `./x build`."),
        program("pilothouse-practice", "The practice network; build it with `./x build`."),
        sandbox().await,
        display(),
        home_check(&home),
        passphrase(&home, context.network()),
    ]);
    if let (Some(spark), Value::Array(checks)) = (spark(home.root()).await, &mut checks) {
        checks.push(spark);
    }
    let missing = items(&checks).filter(|check| check["ok"] != true).count();
    let report = json!({ "ok": missing == 0, "checks": checks });
    context.out.result(&report, || {
        items(&report["checks"])
            .map(|check| {
                let mark = if check["ok"] == true { "ok     " } else { "missing" };
                let mut line = format!(
                    "{mark}  {:<20} {}",
                    check["name"].as_str().unwrap_or_default(),
                    check["detail"].as_str().unwrap_or_default()
                );
                if let Some(hint) = check["hint"].as_str() {
                    line.push_str(&format!("\n         {hint}"));
                }
                line
            })
            .collect::<Vec<_>>()
            .join("\n")
    });
    Ok(())
}

fn program(name: &str, hint: &str) -> Value {
    match supervise::find(name) {
        Ok(path) => json!({ "name": name, "ok": true, "detail": path }),
        Err(error) => json!({ "name": name, "ok": false, "detail": error.message, "hint": hint }),
    }
}

async fn sandbox() -> Value {
    let probe = crate::drivers::harness::probe().await;
    json!({
        "name": "sandbox", "ok": probe.available, "detail": probe.name,
        "hint": if probe.available { None } else { probe.hint.or(probe.why_not) },
    })
}

/// The Spark wallet's environment, where there is one or the wallet is one of Spark.
async fn spark(home: &Path) -> Option<Value> {
    const WITHIN: Duration = Duration::from_secs(60);
    const CHECK: [&str; 4] = ["-I", "-m", "pilothouse_spark", "check"];
    let python = home.join("wallet/spark/env/bin/python");
    let chosen = std::fs::read_to_string(home.join("wallet/backend.json"))
        .is_ok_and(|choice| choice.contains("\"spark\""));
    if !python.exists() && !chosen {
        return None;
    }
    let (ok, detail) = match supervise::ask(&python, &CHECK, WITHIN).await {
        Ok((ok, printed)) => {
            let said: Value = serde_json::from_slice(&printed).unwrap_or_default();
            let field = |name: &str| said[name].as_str().map(str::to_owned);
            let version = field("version").unwrap_or_default();
            let python = field("python").unwrap_or_default();
            let ok = ok && said["ok"] == true;
            let detail = match field("detail") {
                Some(detail) => detail,
                None if ok => format!("breez-sdk-spark {version}, Python {python}"),
                None => "it says nothing of itself".into(),
            };
            (ok, detail)
        }
        Err(error) => (false, format!("{}: {error}", python.display())),
    };
    let hint = (!ok).then_some("Make the Spark wallet's environment: `wallet/spark/setup`.");
    Some(json!({ "name": "spark", "ok": ok, "detail": detail, "hint": hint }))
}

fn display() -> Value {
    let here = host::ending::has_display();
    json!({
        "name": "display", "ok": here,
        "detail": if here { "a display was found" } else { "no display" },
        "hint": if here { None } else { Some("Everything but the window works: `pilothouse up --headless`.") },
    })
}

fn home_check(home: &host::Home) -> Value {
    json!({ "name": "home", "ok": true, "detail": home.root() })
}

/// Whether anything stands between whoever uses this account and the money.
fn passphrase(home: &host::Home, network: domain::Network) -> Value {
    let vault = home.join(crate::services::WALLET_DIR).join("vault");
    let (ok, detail) = match vault::Vault::kept_at(&vault) {
        Ok(vault::Kept::FileWithPassphrase) => (true, "the wallet has a passphrase"),
        Ok(_) if network == domain::Network::Practice => {
            (true, "none is set: nothing is locked; practice money has no value")
        }
        Ok(_) => (false, "none is set: whoever uses this account can show the wallet's words"),
        Err(vault::VaultError::Missing(_)) => (true, "there is no wallet yet"),
        Err(_) => (false, "the wallet's vault cannot be read"),
    };
    let hint = (!ok).then_some("Set one: `pilothouse wallet passphrase set`.");
    json!({ "name": "wallet passphrase", "ok": ok, "detail": detail, "hint": hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn spark_is_checked_where_it_is_chosen_and_nowhere_else() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(spark(home.path()).await, None);
        let wallet = home.path().join("wallet");
        std::fs::create_dir(&wallet).unwrap();
        std::fs::write(wallet.join("backend.json"), r#"{"backend":"spark"}"#).unwrap();
        let missing = spark(home.path()).await.unwrap();
        assert_eq!((&missing["ok"], &missing["name"]), (&json!(false), &json!("spark")));
        assert!(missing["hint"].as_str().is_some_and(|hint| hint.contains("setup")));
        std::fs::write(wallet.join("backend.json"), r#"{"backend":"ldk"}"#).unwrap();
        assert_eq!(spark(home.path()).await, None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_the_environment_says_of_itself_is_shown() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("wallet/spark/env/bin");
        std::fs::create_dir_all(&bin).unwrap();
        let python = bin.join("python");
        for (answer, ok, detail) in [
            (
                r#"{"ok":true,"version":"1.2","python":"3.11"}"#,
                true,
                "breez-sdk-spark 1.2, Python 3.11",
            ),
            (r#"{"ok":false,"detail":"not installed"}"#, false, "not installed"),
            ("rubbish", false, "it says nothing of itself"),
        ] {
            std::fs::write(&python, format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
            std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
            let said = spark(home.path()).await.unwrap();
            assert_eq!((said["ok"].as_bool(), said["detail"].as_str()), (Some(ok), Some(detail)));
        }
    }
}
