//! The connection to the Spark process, made again where it broke.

use domain::ErrorBody;
use host::ipc::Client;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Mutex;

/// The process's rendezvous file is `<folder>/spark.json`.
const SERVICE: &str = "spark";

/// Why there is no answer to a call.
#[derive(Debug)]
pub enum CallError {
    /// The process was not asked.
    Unreached(String),
    /// It was asked, and its answer did not come or makes no sense.
    Lost(String),
    /// Its answer is an error.
    Said(ErrorBody),
}

impl CallError {
    pub fn into_text(self) -> String {
        match self {
            Self::Unreached(why) | Self::Lost(why) => why,
            Self::Said(error) => error.message,
        }
    }
}

/// One connection for all calls.
pub struct Link {
    folder: PathBuf,
    client: Mutex<Option<Arc<Client>>>,
}

impl Link {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), client: Mutex::default() }
    }

    pub async fn call<P: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        method: &str,
        params: &P,
        within: Duration,
    ) -> Result<R, CallError> {
        let client = self.client().await?;
        let asked = tokio::time::timeout(within, client.request(method, &params)).await;
        match asked {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if matches!(error.code.as_ref(), "connection_lost" | "bad_answer") => {
                Err(CallError::Lost(error.message))
            }
            Ok(Err(error)) => Err(CallError::Said(error)),
            Err(_) => Err(CallError::Lost(format!(
                "The Spark process did not answer {method} within {} s.",
                within.as_secs()
            ))),
        }
    }

    async fn client(&self) -> Result<Arc<Client>, CallError> {
        let mut kept = self.client.lock().await;
        if let Some(client) = kept.as_ref().filter(|client| client.is_open()) {
            return Ok(Arc::clone(client));
        }
        let client = Client::connect(&self.folder, SERVICE)
            .await
            .map_err(|error| CallError::Unreached(error.message))?;
        Ok(Arc::clone(kept.insert(Arc::new(client))))
    }
}
