//! `bench jobs|log|ui`: measures and prints figures.

use clap::{Args, ValueEnum};
use domain::ErrorBody;

use crate::cli::Context;

#[derive(Debug, Args)]
pub(crate) struct Bench {
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The window's own work per frame, over 100,000 activity rows
    Ui,
}

impl Bench {
    pub async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let report = match self.what {
            What::Ui => {
                (context.shell.bench_ui)().map_err(|error| ErrorBody::new("bench_failed", error))?
            }
        };
        context.out.result(&report, || serde_json::to_string_pretty(&report).unwrap_or_default());
        Ok(())
    }
}
