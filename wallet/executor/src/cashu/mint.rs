//! One mint that the operator trusts, and the ecash held there.

use cdk::{
    Amount, Error, Wallet,
    wallet::types::{Transaction, TransactionDirection, TransactionStatus},
};
use domain::{Msat, Sha256Hash};
use std::sync::{Mutex, PoisonError};
use tokio::sync::OnceCell;

use super::{
    book::{Book, BookError},
    convert::{text, to_msat},
};

/// Why a mint could not be used now.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error("{host}: {}", text(.source))]
    Mint { host: String, source: Error },
    #[error(transparent)]
    Book(#[from] BookError),
}

/// Whether the mint answered when it was asked last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    NotYet,
    Yes,
    No(String),
}

pub struct Mint {
    pub url: String,
    pub host: String,
    /// The most that may be held there.
    pub most: Msat,
    pub wallet: Wallet,
    heard: Mutex<Heard>,
    ready: OnceCell<()>,
    /// One look at the mint's quotes at a time.
    pub looking: tokio::sync::Mutex<()>,
}

impl Mint {
    pub fn new(url: String, host: String, most: Msat, wallet: Wallet) -> Self {
        let (heard, ready) = (Mutex::new(Heard::NotYet), OnceCell::new());
        Self { url, host, most, wallet, heard, ready, looking: tokio::sync::Mutex::default() }
    }

    /// Comes before anything else at this mint: what the seed had there is found again (NUT-09,
    /// NUT-13), so that no secret is used twice, and what a crash broke off is taken up.
    pub async fn ready(&self, book: &Book) -> Result<(), MintError> {
        let made_ready = self.ready.get_or_try_init(|| async {
            if !self.was_restored(book).await? {
                let found = self.noted(self.wallet.restore().await)?;
                tracing::info!(mint = self.host, sats = %found.unspent, "the mint was asked for ecash of this seed");
                book.set_restored(&self.name()).await?;
            }
            self.noted(self.wallet.recover_incomplete_sagas().await)?;
            Ok(())
        });
        made_ready.await.copied()
    }

    /// Whether what the seed had there before was asked for once.
    pub async fn was_restored(&self, book: &Book) -> Result<bool, BookError> {
        book.was_restored(&self.name()).await
    }

    fn name(&self) -> String {
        Sha256Hash::of(self.url.as_bytes()).to_string()
    }

    /// Asks the mint who it is.
    pub async fn greet(&self, book: &Book) -> Result<(), MintError> {
        self.ready(book).await?;
        self.noted(self.wallet.fetch_mint_info().await)?;
        Ok(())
    }

    /// Keeps in mind whether the mint answered.
    pub fn noted<T>(&self, answer: Result<T, Error>) -> Result<T, MintError> {
        let silent = match &answer {
            Err(Error::Timeout | Error::HttpError(..)) => true,
            Err(_) | Ok(_) => false,
        };
        let answer = answer.map_err(|source| MintError::Mint { host: self.host.clone(), source });
        let heard = match &answer {
            Err(error) if silent => Heard::No(error.to_string()),
            _ => Heard::Yes,
        };
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
        answer
    }

    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is ours there and can be spent.
    pub async fn balance(&self) -> Result<Msat, MintError> {
        let held: Amount =
            self.wallet.total_balance().await.map_err(|source| self.fault(source))?;
        Ok(to_msat(held).unwrap_or_default())
    }

    /// The ecash that came or went for a quote, once all of it is in the database.
    pub async fn done(
        &self,
        direction: TransactionDirection,
        quote: &str,
    ) -> Result<Option<Transaction>, MintError> {
        let known = self.wallet.list_transactions(Some(direction)).await;
        let known = known.map_err(|source| self.fault(source))?;
        Ok(known.into_iter().find(|transaction| {
            transaction.quote_id.as_deref() == Some(quote)
                && transaction.status == TransactionStatus::Completed
        }))
    }

    fn fault(&self, source: Error) -> MintError {
        MintError::Mint { host: self.host.clone(), source }
    }
}
