//! Which quote of which mint a payment hash belongs to, and of which the end was not told yet.
//!
//! Kept in the database of the ecash itself. A record is written before the mint can move money for
//! it; what became of it is always asked of the ecash and the mint, never of the record.

use cdk::cdk_database::{self, WalletDatabase};
use domain::{Msat, PaymentHash, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wallet::wire::Direction;

pub type Store = Arc<dyn WalletDatabase<cdk_database::Error> + Send + Sync>;

const AREA: &str = "pilothouse";
const RECORDS: &str = "records";
const UNTOLD: &str = "untold";
const RESTORED: &str = "restored";

/// A quote of a mint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub direction: Direction,
    pub payment_hash: PaymentHash,
    pub mint: String,
    pub quote: String,
    pub amount_msat: Msat,
    pub at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// Why the mint said that it will not pay.
    pub refused: Option<String>,
}

impl Record {
    pub fn key(&self) -> String {
        key(self.direction, self.payment_hash)
    }
}

pub fn key(direction: Direction, payment_hash: PaymentHash) -> String {
    let way = match direction {
        Direction::In => "in",
        Direction::Out => "out",
    };
    format!("{way}-{payment_hash}")
}

#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error("the ecash database does not work: {0}")]
    Database(#[from] cdk_database::Error),
    #[error("a record of the ecash database cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

#[derive(Clone)]
pub struct Book(Store);

impl Book {
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    pub async fn get(&self, key: &str) -> Result<Option<Record>, BookError> {
        match self.0.kv_read(AREA, RECORDS, key).await? {
            Some(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            None => Ok(None),
        }
    }

    /// Replaces an older one of the same payment; its end is to be told.
    pub async fn put(&self, record: &Record) -> Result<(), BookError> {
        let key = record.key();
        self.0.kv_write(AREA, UNTOLD, &key, &[]).await?;
        self.0.kv_write(AREA, RECORDS, &key, &serde_json::to_vec(record)?).await?;
        Ok(())
    }

    /// Its end is known to who asked for it, or does not come any more.
    pub async fn told(&self, key: &str) -> Result<(), BookError> {
        Ok(self.0.kv_remove(AREA, UNTOLD, key).await?)
    }

    /// Those whose end was not told.
    pub async fn untold(&self) -> Result<Vec<Record>, BookError> {
        let mut records = Vec::new();
        for key in self.0.kv_list(AREA, UNTOLD).await? {
            match self.get(&key).await? {
                Some(record) => records.push(record),
                None => self.told(&key).await?,
            }
        }
        Ok(records)
    }

    /// Whether this mint was asked once for what the seed had there before.
    pub async fn was_restored(&self, mint: &str) -> Result<bool, BookError> {
        Ok(self.0.kv_read(AREA, RESTORED, mint).await?.is_some())
    }

    pub async fn set_restored(&self, mint: &str) -> Result<(), BookError> {
        Ok(self.0.kv_write(AREA, RESTORED, mint, &[1]).await?)
    }
}
