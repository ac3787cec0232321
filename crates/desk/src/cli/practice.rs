//! `practice status|pay|invoice|mine`: the counterparty acts, so that anybody can complete a job.

use clap::Subcommand;
use domain::ErrorBody;
use serde_json::{Value, json};

use super::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Practice {
    /// Where it runs, and the address that another home joins by
    Status,
    /// The counterparty pays an invoice
    Pay { bolt11: String },
    /// The counterparty makes an invoice
    Invoice {
        amount_msat: u64,
        #[arg(long, default_value = "practice")]
        memo: String,
        /// The invoice holds only the memo's hash, as an LNURL server's does
        #[arg(long)]
        by_hash: bool,
    },
    /// Mine blocks
    Mine { blocks: u32 },
}

impl Practice {
    pub async fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let home = context.home()?;
        let practice = crate::practice::connect(&home).await?;
        let answer = match self {
            Self::Status => practice.call("status", Value::Null).await?,
            Self::Pay { bolt11 } => practice.call("pay", json!({ "bolt11": bolt11 })).await?,
            Self::Invoice { amount_msat, memo, by_hash } => {
                let asked = json!({ "amount_msat": amount_msat, "memo": memo, "by_hash": by_hash });
                practice.call("invoice", asked).await?
            }
            Self::Mine { blocks } => practice.call("mine", json!({ "blocks": blocks })).await?,
        };
        context.out.result(&answer, || serde_json::to_string_pretty(&answer).unwrap_or_default());
        Ok(())
    }
}
