//! The executor's calls that are about backups.

use domain::ErrorBody;
use serde_json::Value;
use std::sync::Arc;
use wallet::{
    backup::{BackupSet, BackupStatus, CheckWords, RehearsalReport},
    wire::method,
};

use super::keeper::{Keeper, Live, status_without_copy};
use crate::{
    backend::Backend,
    server::{Calls, json, read},
};

impl<B: Backend> Calls<B> {
    pub(crate) async fn backup_call(&self, name: &str, params: Value) -> Result<Value, ErrorBody> {
        match name {
            method::BACKUP => json(&self.back_up().await?),
            method::BACKUP_SET => {
                let asked: BackupSet = read(params)?;
                let runs = self.house.backend.get().is_some();
                self.kept(move |keeper| keeper.set(&asked, runs)).await?;
                json(&self.backup_status().await?)
            }
            method::REHEARSE => json(&self.rehearse().await?),
            method::CHECK_WORDS => {
                self.check_words(&read(params)?).await?;
                json(&self.backup_status().await?)
            }
            _ => json(&self.backup_status().await?),
        }
    }

    async fn back_up(&self) -> Result<wallet::wire::BackupReport, ErrorBody> {
        let now = host::clock::now();
        match &self.backup {
            Some((sources, to)) => {
                let (sources, to) = (sources.clone(), to.clone());
                self.house.with(move |backend| super::write(backend, &sources, &to, now)).await?
            }
            None => self.kept(|keeper| keeper.write_now()).await,
        }
    }

    /// Blocking work with the backup.
    async fn kept<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Keeper) -> Result<T, ErrorBody> + Send + 'static,
    ) -> Result<T, ErrorBody> {
        let keeper = self.keeper.clone().ok_or_else(|| {
            ErrorBody::refused("no_such_backup", "This backend's state is not kept here.")
                .hint("`wallet backup status` says what brings its money back.")
        })?;
        blocking(move || work(&keeper)).await
    }

    async fn live(&self) -> Live {
        self.house.with(Backend::live).await.unwrap_or_default()
    }

    async fn backup_status(&self) -> Result<BackupStatus, ErrorBody> {
        let live = self.live().await;
        if self.keeper.is_none() {
            return Ok(status_without_copy(&live.backend, false, host::clock::now()));
        }
        self.kept(move |keeper| keeper.status(&live)).await
    }

    async fn rehearse(&self) -> Result<RehearsalReport, ErrorBody> {
        let backend = Arc::clone(self.house.backend()?);
        let runtime = tokio::runtime::Handle::current();
        self.kept(move |keeper| keeper.rehearse(&runtime, || backend.live())).await
    }

    async fn check_words(&self, check: &CheckWords) -> Result<(), ErrorBody> {
        let words = (self.words)();
        let words: Vec<&str> = words.split_whitespace().collect();
        if !check.holds(&words) {
            return Err(ErrorBody::refused(
                "wrong_words",
                "Those are not the words at these places.",
            )
            .hint("Look at what you wrote down: at least three words are asked for."));
        }
        self.kept(Keeper::words_are_written_down).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ErrorBody> + Send + 'static,
) -> Result<T, ErrorBody> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        ErrorBody::new("internal", format!("the backup's work broke off: {error}"))
    })?
}
