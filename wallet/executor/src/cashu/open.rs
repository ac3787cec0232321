//! What a Cashu wallet is opened with.

use cdk::{
    mint_url::MintUrl,
    nuts::CurrencyUnit,
    wallet::{BaseHttpClient, WalletBuilder},
};
use cdk_sqlite::WalletSqliteDatabase;
use domain::{Msat, Network};
use net::{Egress, GateError};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, path::PathBuf, str::FromStr, sync::Arc, time::Duration};
use tokio::runtime::Handle;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{
    adapter::CashuBackend,
    book::{Book, BookError, Store},
    mint::Mint,
    shared::Shared,
    transport::GateTransport,
};

const DATABASE: &str = "cashu.db";
const MOST_MINTS: usize = 16;

/// A mint that the operator trusts with at most so much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedMint {
    /// `https`, or `http` on this machine.
    pub url: String,
    /// No more is taken in while this is held there.
    pub most_msat: Msat,
}

/// How long is waited, and how often is looked.
#[derive(Clone, Copy, Debug)]
pub struct Tempo {
    /// For each answer of a mint.
    pub answer_within: Duration,
    /// Between two looks at a new invoice; older ones are looked at less often.
    pub look_every: Duration,
    /// A mint that may not have heard of a payment says in vain that it is unpaid, for so long.
    pub doubt: Duration,
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            answer_within: Duration::from_secs(60),
            look_every: Duration::from_secs(2),
            doubt: Duration::from_secs(180),
        }
    }
}

/// How a Cashu wallet is opened.
pub struct Options {
    pub network: Network,
    /// Its own folder, which exists.
    pub dir: PathBuf,
    /// See [`seed`].
    pub seed: Zeroizing<[u8; 64]>,
    /// In the order in which they are asked.
    pub mints: Vec<TrustedMint>,
    pub egress: Egress,
    pub tempo: Tempo,
    pub runtime: Handle,
}

/// The list of mints makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum MintsError {
    #[error("the list of mints is not as it should be: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("no mint is named; name one that you trust with your money")]
    None,
    #[error("more than {MOST_MINTS} mints are named")]
    TooMany,
    #[error("{url} is no address of a mint: {why}")]
    BadUrl { url: String, why: String },
    #[error("{url} is reached without encryption, which only a mint on this machine may be")]
    Cleartext { url: String },
    #[error("{url} is named twice")]
    Twice { url: String },
    #[error("practice money is at a mint on this machine only, and not at {url}")]
    NotPractice { url: String },
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Mints(#[from] MintsError),
    #[error("the ecash database cannot be opened: {0}. Nothing was changed")]
    Database(#[from] cdk::cdk_database::Error),
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("a mint cannot be used: {0}")]
    Gate(#[from] GateError),
    #[error("a mint cannot be used: {0}")]
    Wallet(#[from] cdk::Error),
}

/// The list of trusted mints as JSON.
pub fn read_mints(json: &[u8], network: Network) -> Result<Vec<TrustedMint>, MintsError> {
    let mints: Vec<TrustedMint> = serde_json::from_slice(json)?;
    check(&mints, network)?;
    Ok(mints)
}

/// The seed of all ecash (NUT-13), by the vault's `derive`: the same words give it again.
pub fn seed(derive: impl Fn(&str) -> Zeroizing<[u8; 32]>) -> Zeroizing<[u8; 64]> {
    let mut seed = Zeroizing::new([0; 64]);
    seed[..32].copy_from_slice(&*derive("cashu seed, first half"));
    seed[32..].copy_from_slice(&*derive("cashu seed, second half"));
    seed
}

fn check(mints: &[TrustedMint], network: Network) -> Result<Vec<Url>, MintsError> {
    if mints.is_empty() {
        return Err(MintsError::None);
    }
    if mints.len() > MOST_MINTS {
        return Err(MintsError::TooMany);
    }
    let mut seen = HashSet::new();
    mints
        .iter()
        .map(|mint| {
            let shown: String = mint.url.chars().take(200).collect();
            let url = checked(&mint.url, &shown, network)?;
            if !seen.insert(url.clone()) {
                return Err(MintsError::Twice { url: shown });
            }
            Ok(url)
        })
        .collect()
}

fn checked(text: &str, shown: &str, network: Network) -> Result<Url, MintsError> {
    let bad = |why: &str| MintsError::BadUrl { url: shown.to_owned(), why: why.to_owned() };
    let mut url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it carries a name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it has a part behind ? or #"));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_here(&url) => {}
        "http" => return Err(MintsError::Cleartext { url: shown.to_owned() }),
        _ => return Err(bad("it does not start with https://")),
    }
    if network == Network::Practice && !is_here(&url) {
        return Err(MintsError::NotPractice { url: shown.to_owned() });
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

impl CashuBackend {
    /// Opens it without asking any mint; mints are asked from then on.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let urls = check(&options.mints, options.network)?;
        let path = options.dir.join(DATABASE);
        let database = options.runtime.block_on(WalletSqliteDatabase::new(path.clone()))?;
        let store: Store = Arc::new(database);
        let named = options.mints.iter().zip(urls);
        let mints = named
            .map(|(mint, url)| open_mint(options, mint, url, &store))
            .collect::<Result<Vec<_>, _>>()?;
        let book = Book::new(store);
        let untold = options.runtime.block_on(book.untold())?;
        let shared = Shared::new(options.network, mints, book, options.tempo, untold);
        Ok(Self::new(shared, &options.seed, path, options.runtime.clone()))
    }
}

fn open_mint(
    options: &Options,
    mint: &TrustedMint,
    url: Url,
    store: &Store,
) -> Result<Mint, OpenError> {
    let egress = match is_here(&url) {
        true => options.egress.also_trusting(url.as_str())?,
        false => options.egress.clone(),
    };
    let text = url.as_str().trim_end_matches('/').to_owned();
    let name = MintUrl::from_str(&text)
        .map_err(|error| MintsError::BadUrl { url: text.clone(), why: error.to_string() })?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let transport = GateTransport::new(egress, url, options.tempo.answer_within);
    let wallet = WalletBuilder::new()
        .mint_url(name.clone())
        .unit(CurrencyUnit::Sat)
        .localstore(Arc::clone(store))
        .seed(*options.seed)
        .client(BaseHttpClient::with_transport(name, transport, None))
        .use_http_subscription()
        .without_rate_limiting()
        .build()?;
    Ok(Mint::new(text, host, mint.most_msat, wallet))
}

#[cfg(test)]
mod tests;
