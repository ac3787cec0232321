//! What only the operator may do: refused while locked, and unlocked by the passphrase.
//!
//! Payments of accounts within their terms, the operator's own below a size, and everything that
//! comes in go on while locked. What gives more away, or shows the words, does not.

use domain::{ErrorBody, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex, MutexGuard as StateGuard, PoisonError},
    time::{Duration, Instant},
};
use vault::{Vault, VaultError};
use wallet::{
    Input, Reply,
    custody::{CustodyView, LARGE, LOCK_AFTER_MINUTES, LOCKED, LONGEST_LOCK_AFTER_MINUTES},
    wire::{Account, AccountView, Move, Pay, SetLimits, method},
};
use zeroize::Zeroizing;

use super::{
    secret,
    tries::{self, Tries},
};
use crate::{backend::Backend, house::House};

/// The operator's choice, sealed with the seed: nothing else can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    lock_after_minutes: u32,
    large_msat: domain::Msat,
}

impl Default for Terms {
    fn default() -> Self {
        Self { lock_after_minutes: LOCK_AFTER_MINUTES, large_msat: LARGE }
    }
}

impl Terms {
    fn of(note: &str) -> Self {
        serde_json::from_str(note).unwrap_or_default()
    }

    fn note(self) -> String {
        serde_json::to_string(&self).expect("BUG: terms are plain data, which always serialises")
    }

    fn lasts(self) -> Duration {
        Duration::from_secs(u64::from(self.lock_after_minutes) * 60)
    }
}

#[derive(Debug, Default)]
struct State {
    /// By both clocks: one stands still while the machine sleeps, the other can be set back.
    unlocked: Option<(Instant, Timestamp)>,
    tries: Tries,
}

/// Stands before the executor's calls.
pub struct Guard {
    /// Without one, as in tests of other parts, nothing is ever locked.
    vault: Option<Arc<Vault>>,
    state: Mutex<State>,
    /// One passphrase is looked at at a time: each look takes 64 MiB.
    one: tokio::sync::Mutex<()>,
}

impl Guard {
    /// Of an open vault; `proved` where the operator has just given its passphrase.
    pub fn new(vault: Arc<Vault>, proved: bool) -> Self {
        let guard = Self { vault: Some(vault), ..Self::none() };
        if proved {
            guard.state().unlocked = Some((Instant::now(), host::clock::now()));
        }
        guard
    }

    /// Guards nothing.
    pub fn none() -> Self {
        Self { vault: None, state: Mutex::default(), one: tokio::sync::Mutex::new(()) }
    }

    fn state(&self) -> StateGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sealed_by_passphrase(&self) -> Option<&Arc<Vault>> {
        self.vault.as_ref().filter(|vault| vault.has_passphrase())
    }

    fn terms(&self) -> Terms {
        self.sealed_by_passphrase().map_or_else(Terms::default, |vault| Terms::of(&vault.note()))
    }

    /// Until when the operator counts as there.
    fn unlocked_until(&self) -> Option<Timestamp> {
        let lasts = self.terms().lasts();
        let (since, at) = self.state().unlocked?;
        let now = host::clock::now();
        let until = at.plus_secs(lasts.as_secs());
        (since.elapsed() < lasts && at <= now && now < until).then_some(until)
    }

    pub fn is_locked(&self) -> bool {
        self.sealed_by_passphrase().is_some() && self.unlocked_until().is_none()
    }

    /// Refuses by name what the operator alone may do, while the operator is not there.
    ///
    /// # Errors
    ///
    /// `locked`, or the machine does not say what holds now.
    pub async fn check<B: Backend>(
        &self,
        house: &House<B>,
        name: &str,
        params: &Value,
    ) -> Result<(), ErrorBody> {
        if !self.is_locked() {
            return Ok(());
        }
        match self.reason(house, name, params).await? {
            None => Ok(()),
            Some(what) => Err(ErrorBody::refused(
                LOCKED,
                format!("The wallet is locked, and {what} needs you. Nothing was done."),
            )
            .hint("Unlock it with `pilothouse wallet unlock`, then ask again.")),
        }
    }

    /// Why a call needs the operator; `None` where it does not. Parameters that make no sense are
    /// for the call itself to refuse.
    async fn reason<B: Backend>(
        &self,
        house: &House<B>,
        name: &str,
        params: &Value,
    ) -> Result<Option<&'static str>, ErrorBody> {
        let why = match name {
            method::SHOW_SEED => Some("showing its words"),
            method::APPROVE => Some("approving what is above a limit"),
            method::CONNECTION_CREATE => Some("letting another app pay"),
            method::BACKUP_SET => Some("changing where the backup goes"),
            wallet::channels::method::OPEN_CHANNEL => Some("opening a channel"),
            wallet::channels::method::CLOSE_CHANNEL => {
                (!params["force"].is_null()).then_some("closing a channel by force")
            }
            method::PAY => serde_json::from_value::<Pay>(params.clone())
                .is_ok_and(|pay| {
                    pay.account.is_operator() && pay.amount_msat >= self.terms().large_msat
                })
                .then_some("a payment of this size"),
            method::MOVE => serde_json::from_value::<Move>(params.clone())
                .is_ok_and(|moved| !moved.to.is_operator())
                .then_some("giving an account more money"),
            method::SET_LIMITS => match serde_json::from_value::<SetLimits>(params.clone()) {
                Err(_) => None,
                Ok(SetLimits { limits: new }) => match house.ask(Input::Limits).await? {
                    Reply::Limits(held) => (new.per_payment_msat > held.limits.per_payment_msat
                        || new.per_day_msat > held.limits.per_day_msat
                        || new.max_fee_msat > held.limits.max_fee_msat)
                        .then_some("raising a limit"),
                    _ => Some("changing the limits"),
                },
            },
            method::SET_ACCOUNT => match serde_json::from_value::<Account>(params.clone()) {
                Err(_) => None,
                Ok(new) => match house.ask(Input::Accounts).await? {
                    Reply::Accounts(all) => (!all.iter().any(|old| narrows(&new, old)))
                        .then_some("a new or wider account"),
                    _ => Some("changing an account"),
                },
            },
            _ => None,
        };
        Ok(why)
    }

    /// Answers the calls of custody itself; `None` where `name` is none of them.
    pub async fn answer(
        &self,
        name: &str,
        params: &mut Value,
        fingerprint: Option<String>,
    ) -> Option<Result<Value, ErrorBody>> {
        let done = match name {
            method::CUSTODY => Ok(()),
            method::UNLOCK => self.unlock(params).await,
            method::LOCK => self.lock(),
            method::SET_PASSPHRASE => self.set_passphrase(params).await,
            method::SET_LOCK => self.set_lock(params).await,
            _ => return None,
        };
        Some(done.and_then(|()| {
            serde_json::to_value(self.view(fingerprint))
                .map_err(|error| ErrorBody::new("internal", error.to_string()))
        }))
    }

    fn view(&self, fingerprint: Option<String>) -> CustodyView {
        let has_passphrase = self.sealed_by_passphrase().is_some();
        let (terms, locked) = (self.terms(), self.is_locked());
        let kept = self.vault.as_ref().and_then(|vault| serde_json::to_value(vault.kept_in()).ok());
        let kept = kept.as_ref().and_then(Value::as_str).unwrap_or("nowhere").to_owned();
        let detail = match (has_passphrase, locked) {
            (false, _) => {
                "No passphrase is set: whoever uses this account of this machine can do everything \
                 with the wallet, and nothing is ever locked."
            }
            (true, true) => {
                "Locked: what comes in and payments within their limits go on, the rest waits for \
                 the passphrase."
            }
            (true, false) => "Unlocked by its passphrase.",
        };
        CustodyView {
            fingerprint,
            kept_in: kept,
            has_passphrase,
            sealed: false,
            locked,
            unlocked_until: self.unlocked_until().filter(|_| has_passphrase),
            lock_after_minutes: has_passphrase.then_some(terms.lock_after_minutes),
            large_msat: has_passphrase.then_some(terms.large_msat),
            next_try_at: self.state().tries.next_at(Instant::now(), host::clock::now()),
            detail: detail.to_owned(),
        }
    }

    async fn unlock(&self, params: &mut Value) -> Result<(), ErrorBody> {
        let text = secret::needed(params, "passphrase")?;
        let _one = self.prove(text).await?;
        self.state().unlocked = Some((Instant::now(), host::clock::now()));
        tracing::info!("the wallet was unlocked");
        Ok(())
    }

    fn lock(&self) -> Result<(), ErrorBody> {
        self.sealed_by_passphrase().ok_or_else(no_passphrase)?;
        self.state().unlocked = None;
        tracing::info!("the wallet was locked");
        Ok(())
    }

    /// Sets, changes or (without `new`) takes away the passphrase.
    async fn set_passphrase(&self, params: &mut Value) -> Result<(), ErrorBody> {
        let (current, new) = (secret::take(params, "passphrase")?, secret::take(params, "new")?);
        let vault = Arc::clone(self.vault.as_ref().ok_or_else(no_passphrase)?);
        let _one = match (vault.has_passphrase(), current) {
            (true, Some(current)) => self.prove(current).await?,
            (true, None) => {
                return Err(ErrorBody::refused(
                    "passphrase_needed",
                    "A passphrase is set already: the current one is needed. Nothing changed.",
                ));
            }
            (false, _) if new.is_none() => return Err(no_passphrase()),
            (false, _) => self.one.lock().await,
        };
        let note = self.terms().note();
        let changed = blocking(move || match new {
            Some(new) => vault.set_passphrase(new, &note),
            None => vault.remove_passphrase().map(|()| None),
        });
        if let Some(why) = changed.await? {
            tracing::warn!(why, "the keychain still has the seed");
        }
        self.state().unlocked = Some((Instant::now(), host::clock::now()));
        tracing::info!("the passphrase was set, changed or taken away");
        Ok(())
    }

    /// After how long it locks, and what counts as large.
    async fn set_lock(&self, params: &mut Value) -> Result<(), ErrorBody> {
        let vault = Arc::clone(self.sealed_by_passphrase().ok_or_else(no_passphrase)?);
        let text = secret::needed(params, "passphrase")?;
        let mut terms = self.terms();
        let usage =
            |why: String| ErrorBody::new("invalid_params", why).exit(domain::ExitCode::Usage);
        if !params["minutes"].is_null() {
            let minutes = params["minutes"].as_u64().and_then(|m| u32::try_from(m).ok());
            terms.lock_after_minutes = minutes
                .filter(|minutes| (1..=LONGEST_LOCK_AFTER_MINUTES).contains(minutes))
                .ok_or_else(|| {
                    usage(format!("It locks after 1 to {LONGEST_LOCK_AFTER_MINUTES} minutes."))
                })?;
        }
        if !params["large_msat"].is_null() {
            let msat = params["large_msat"].as_u64().and_then(|m| domain::Msat::new(m).ok());
            terms.large_msat =
                msat.ok_or_else(|| usage("This is no amount; nothing changed.".into()))?;
        }
        let _one = self.prove(text.clone()).await?;
        blocking(move || vault.set_passphrase(text, &terms.note())).await?;
        tracing::info!(?terms, "when the wallet locks was changed");
        Ok(())
    }

    /// Looks at one passphrase; holds the place until what it allows was done.
    async fn prove(
        &self,
        text: Zeroizing<String>,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>, ErrorBody> {
        let one = self.one.try_lock().map_err(|_| tries::too_soon(Duration::from_secs(1)))?;
        let vault = Arc::clone(self.sealed_by_passphrase().ok_or_else(no_passphrase)?);
        self.state().tries.begin(Instant::now())?;
        if blocking(move || vault.proves(&text)).await? {
            self.state().tries.was_right();
            return Ok(one);
        }
        self.state().tries.was_wrong(Instant::now());
        tracing::warn!("a wrong passphrase was given");
        Err(wrong())
    }
}

/// The passphrase of a call was another one.
pub(super) fn wrong() -> ErrorBody {
    ErrorBody::refused("wrong_passphrase", "This is not the wallet's passphrase. Nothing changed.")
        .hint("Each wrong one makes the next one wait longer.")
}

fn no_passphrase() -> ErrorBody {
    ErrorBody::refused("no_passphrase", "This wallet has no passphrase. Nothing changed.")
        .hint("Set one with `pilothouse wallet passphrase set`.")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, ErrorBody> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| vault_error(&error)),
        Err(_) => Err(ErrorBody::new("internal", "A look at the vault broke off.")),
    }
}

pub(super) fn vault_error(error: &VaultError) -> ErrorBody {
    let code = match error {
        VaultError::PassphraseTooShort(_) => "passphrase_too_short",
        VaultError::PassphraseNeeded => "passphrase_needed",
        VaultError::WrongPassphrase => "wrong_passphrase",
        VaultError::Keychain(_) => "keychain",
        _ => "vault",
    };
    ErrorBody::new(code, error.to_string())
}

/// Whether the new terms give nothing that this account does not have.
fn narrows(new: &Account, held: &AccountView) -> bool {
    let old = &held.account;
    let budget = match (&old.budget, &new.budget) {
        (None, _) => true,
        (Some(old), Some(new)) => new.renews == old.renews && new.amount_msat <= old.amount_msat,
        (Some(_), None) => false,
    };
    let allowed = old.allow.is_empty()
        || (!new.allow.is_empty() && new.allow.iter().all(|payee| old.allow.contains(payee)));
    !held.closed
        && new.id == old.id
        && new.kind == old.kind
        && new.isolated == old.isolated
        && new.connection == old.connection
        && budget
        && allowed
        && at_most(new.per_payment_msat, old.per_payment_msat)
        && at_most(new.expires_at, old.expires_at)
}

/// Absent is without a bound.
fn at_most<T: PartialOrd>(new: Option<T>, old: Option<T>) -> bool {
    match (new, old) {
        (_, None) => true,
        (Some(new), Some(old)) => new <= old,
        (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests;
