//! LNURL-pay over the egress gate: two small answers, fetched from strangers.
//!
//! What the answers mean is decided in [`wallet::payable::lnurl`]; here is only how far a server may
//! lead: over TLS to the public internet, three redirects, 64 KiB and ten seconds in all. Only the
//! server that the operator's own text names may be on this machine, and only if it is trusted.

use domain::{ErrorBody, ExitCode, Msat, Network, Timestamp};
use hyper::StatusCode;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;
use wallet::{
    bolt11::Bolt11Request,
    payable::lnurl::{
        LnurlError, MAX_ANSWER_BYTES, SuccessAction, Terms, check_invoice, read_answer,
        read_refusal, read_terms,
    },
};

use crate::{
    egress::{Egress, GateError},
    http::{FetchError, Request},
};

/// From the look-up of the name to the last byte.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why a server led to no invoice. Nothing was sent, whatever it is.
#[derive(Debug, thiserror::Error)]
pub enum LnurlFetchError {
    #[error("The LNURL server was not asked: {0}.")]
    Blocked(GateError),
    #[error("The LNURL server gave no answer: {0}.")]
    Fetch(FetchError),
    #[error("The LNURL server gave no answer within {} seconds.", DEADLINE.as_secs())]
    TimedOut,
    #[error("The LNURL server answered with an error ({status}).")]
    Status { status: StatusCode },
    #[error(transparent)]
    Answer(#[from] LnurlError),
}

impl From<FetchError> for LnurlFetchError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Gate(error) => Self::Blocked(error),
            FetchError::TimedOut { .. } => Self::TimedOut,
            other => Self::Fetch(other),
        }
    }
}

impl LnurlFetchError {
    /// As it crosses a process.
    pub fn to_error(&self) -> ErrorBody {
        let message = format!("{self} Nothing was sent.");
        match self {
            Self::Answer(error) => error.to_error(),
            Self::Blocked(GateError::Unresolved { .. }) => {
                ErrorBody::new("lnurl_unreachable", message)
                    .hint("Check how the address is written, and whether you are online.")
                    .exit(ExitCode::NotReachable)
                    .retryable()
            }
            Self::Blocked(_) => {
                ErrorBody::refused("lnurl_blocked", message).hint("Ask the payee for an invoice.")
            }
            Self::Fetch(FetchError::Connect { .. }) => ErrorBody::new("lnurl_unreachable", message)
                .hint("Try again later, or ask the payee for an invoice.")
                .exit(ExitCode::NotReachable)
                .retryable(),
            Self::TimedOut => ErrorBody::new("lnurl_timed_out", message)
                .hint("Try again later, or ask the payee for an invoice.")
                .exit(ExitCode::TimedOut)
                .retryable(),
            Self::Fetch(_) | Self::Status { .. } => {
                ErrorBody::new("bad_lnurl", message).hint("Tell the payee, and ask for an invoice.")
            }
        }
    }
}

/// An invoice that was fetched, and that is the one which was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub invoice: Bolt11Request,
    /// What is to be shown once it is paid.
    pub success: Option<SuccessAction>,
}

impl Egress {
    /// What the LNURL-pay server behind `url` takes (LUD-06, LUD-16).
    pub async fn lnurl_terms(&self, url: &str, network: Network) -> Result<Terms, LnurlFetchError> {
        let home = parse(url)?;
        let bytes = self.lnurl_get(&home, url).await?;
        Ok(read_terms(&bytes, network)?)
    }

    /// An invoice over exactly `amount` on these terms, which came from `url`; `now` decides whether
    /// it has expired.
    pub async fn lnurl_invoice(
        &self,
        url: &str,
        terms: &Terms,
        amount: Msat,
        comment: Option<&str>,
        network: Network,
        now: Timestamp,
    ) -> Result<Fetched, LnurlFetchError> {
        let callback = terms.callback_url(amount, comment)?;
        let bytes = self.lnurl_get(&parse(url)?, &callback).await?;
        let answer = read_answer(&bytes, &callback)?;
        let invoice = check_invoice(&answer.invoice, amount, &terms.metadata, network, now)?;
        Ok(Fetched { invoice, success: answer.success })
    }

    async fn lnurl_get(&self, home: &Url, url: &str) -> Result<Vec<u8>, LnurlFetchError> {
        let request = Request::get(url, MAX_ANSWER_BYTES as u64)
            .header("accept", "application/json")
            .inward_only_to(home);
        let response = timeout(DEADLINE, self.fetch(request))
            .await
            .map_err(|_| LnurlFetchError::TimedOut)??;
        if !response.status.is_success() {
            return Err(match read_refusal(&response.body) {
                Some(refusal) => refusal.into(),
                None => LnurlFetchError::Status { status: response.status },
            });
        }
        Ok(response.body.to_vec())
    }
}

fn parse(url: &str) -> Result<Url, LnurlFetchError> {
    let bad = || GateError::BadUrl { url: url.chars().take(200).collect() };
    Url::parse(url).map_err(|_| LnurlFetchError::Blocked(bad()))
}
