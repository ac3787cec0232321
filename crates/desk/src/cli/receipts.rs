//! `receipts list|verify FILE`: works without a running desk, and `verify` without anything else.

use clap::Subcommand;
use domain::{ErrorBody, ExitCode, Receipt};
use serde_json::{Value, json};
use std::{fs::File, io::Read, path::PathBuf};

use super::{Context, wallet::msat_text};

const LONGEST_FILE_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum Receipts {
    /// Receipts of this home, newest first
    List {
        #[arg(long, default_value_t = 100)]
        count: u32,
    },
    /// Check a file of receipts (one object, an array, or a demo's report): signatures and preimages
    Verify { file: PathBuf },
}

impl Receipts {
    pub fn run(self, context: &Context) -> Result<(), ErrorBody> {
        match self {
            Self::List { count } => list(context, count),
            Self::Verify { file } => verify(context, &file),
        }
    }
}

fn list(context: &Context, count: u32) -> Result<(), ErrorBody> {
    let reader = crate::storage::reader(&context.home()?)?;
    let receipts = crate::storage::receipts(&reader, count)?;
    let report = json!({ "receipts": receipts });
    context.out.result(&report, || {
        let rows: Vec<_> = super::status::items(&report["receipts"]).map(line).collect();
        if rows.is_empty() { "No receipts yet.".into() } else { rows.join("\n") }
    });
    Ok(())
}

fn line(receipt: &Value) -> String {
    let text = |name: &str| receipt[name].as_str().unwrap_or("-").to_owned();
    format!(
        "{}  {:<10} kind {}  {:>14}  {}",
        text("at"),
        text("type"),
        receipt["kind"],
        msat_text(&receipt["amount_msat"]),
        text("request_id")
    )
}

fn verify(context: &Context, file: &std::path::Path) -> Result<(), ErrorBody> {
    let bad = |message: String| ErrorBody::new("bad_receipt_file", message).exit(ExitCode::Usage);
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(LONGEST_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| bad(format!("{}: {error}", file.display())))?;
    if bytes.len() as u64 > LONGEST_FILE_BYTES {
        return Err(bad(format!("{} is longer than 16 MiB.", file.display())));
    }
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|error| bad(format!("{} is not JSON: {error}", file.display())))?;
    let found = match value {
        Value::Array(receipts) => receipts,
        Value::Object(mut object) => match object.remove("receipts") {
            Some(Value::Array(receipts)) => receipts,
            _ => vec![Value::Object(object)],
        },
        _ => return Err(bad("a receipt is a JSON object".into())),
    };
    let checked: Vec<_> = found.into_iter().map(check).collect();
    let faults = checked.iter().filter(|check| check["ok"] != true).count();
    let report = json!({ "ok": faults == 0 && !checked.is_empty(), "receipts": checked });
    context.out.result(&report, || {
        super::status::items(&report["receipts"])
            .map(|check| {
                let fault = check["fault"].as_str().unwrap_or("holds");
                format!("{}  {fault}", check["id"].as_str().unwrap_or("-"))
            })
            .collect::<Vec<_>>()
            .join("\n")
    });
    if report["ok"] == true {
        Ok(())
    } else {
        Err(ErrorBody::new("receipt_does_not_hold", format!("{faults} receipts do not hold.")))
    }
}

fn check(value: Value) -> Value {
    let id = value["id"].clone();
    let fault = match serde_json::from_value::<Receipt>(value) {
        Err(error) => Some(format!("not a receipt: {error}")),
        Ok(receipt) => vault::verify_receipt(&receipt).err().map(|fault| fault.to_string()),
    };
    json!({ "id": id, "ok": fault.is_none(), "fault": fault })
}
