//! `bench jobs|log|ui`: measures and prints figures.

mod jobs;

use clap::{Args, Subcommand};
use domain::ErrorBody;
use serde_json::Value;

use crate::cli::Context;

#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Jobs per second over the practice relay: free ones, or paid over practice Lightning
    Jobs(jobs::Jobs),
    /// The event log beside bare SQLite and the raw disk
    Log,
    /// The window's own work per frame, over 100,000 activity rows
    Ui,
}

impl Bench {
    pub async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let report = match self.what {
            What::Jobs(jobs) => jobs.run(context).await?,
            What::Log => log(context).await?,
            What::Ui => (context.shell.bench_ui)().map_err(failed)?,
        };
        context.out.result(&report, || serde_json::to_string_pretty(&report).unwrap_or_default());
        Ok(())
    }
}

fn failed(why: impl ToString) -> ErrorBody {
    ErrorBody::new("bench_failed", why.to_string())
}

/// Measures on the disk that the home is on.
async fn log(context: &Context) -> Result<Value, ErrorBody> {
    let dir = context.home()?.dir("bench-log").map_err(crate::cli::home_error)?;
    let place = dir.clone();
    let report = tokio::task::spawn_blocking(move || {
        store::bench::run(&place, &store::bench::Plan::default())
    })
    .await
    .map_err(failed)?
    .map_err(failed)?;
    std::fs::remove_dir_all(&dir).map_err(failed)?;
    serde_json::to_value(report).map_err(failed)
}
