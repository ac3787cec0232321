//! `doctor`: what is missing on this machine, and how to get it.

use domain::ErrorBody;
use serde_json::{Value, json};

use super::{Context, status::items};

pub(super) async fn run(context: &Context) -> Result<(), ErrorBody> {
    let home = context.home()?;
    let checks = json!([
        program("pilothouse-wallet", "The wallet's own process; build it with `./x build`."),
        program("pilothouse-practice", "The practice network; build it with `./x build`."),
        sandbox().await,
        display(),
        home_check(&home),
    ]);
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
    match host::supervise::find(name) {
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
