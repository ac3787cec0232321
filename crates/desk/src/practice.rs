//! The practice network as a desk sees it: start ours or join another's, and what they tell us.

use domain::{ErrorBody, ExitCode};
use host::{Home, ipc::Client};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Folder of our own practice network, and name of its rendezvous file.
pub const DIR: &str = "practice";
const RENDEZVOUS: &str = "practice.json";
/// Where a desk that joined another's network remembers its address.
const JOINED: &str = "practice-joined";

/// Everything a desk needs to join, as the practice process writes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Rendezvous {
    pub relay_url: String,
    pub blossom_url: String,
    /// The rendezvous file of its control socket.
    pub control: PathBuf,
    /// Absent where it runs without Lightning.
    #[serde(default)]
    pub chain: Option<ChainAccess>,
    #[serde(default)]
    pub counterparty: Option<Counterparty>,
}

/// The chain's JSON-RPC door.
#[derive(Clone, Debug, Deserialize)]
pub struct ChainAccess {
    pub rpc_host: String,
    pub rpc_port: u16,
    pub rpc_user: String,
    /// Holds the password; readable by the owner alone.
    pub rpc_password_path: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Counterparty {
    pub node_id: String,
    pub address: String,
}

/// Where the network of this home is: its own, or the one it joined.
pub fn address(home: &Home) -> PathBuf {
    match std::fs::read_to_string(home.join(JOINED)) {
        Ok(address) => PathBuf::from(address.trim()),
        Err(_) => home.join(DIR).join(RENDEZVOUS),
    }
}

/// Remembers that this home belongs to another's practice network.
pub fn remember_joined(home: &Home, address: &Path) -> Result<(), ErrorBody> {
    let address = std::path::absolute(address)
        .map_err(|error| ErrorBody::new("bad_address", error.to_string()))?;
    host::home::write_private(&home.join(JOINED), address.to_string_lossy().as_bytes())
        .map_err(|error| ErrorBody::new("not_written", error.to_string()))
}

/// Whether this home runs a network of its own.
pub fn is_own(home: &Home) -> bool {
    !home.join(JOINED).exists()
}

pub fn read(address: &Path) -> Result<Rendezvous, ErrorBody> {
    let bytes = std::fs::read(address).map_err(|error| not_running(&error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| not_running(&error.to_string()))
}

/// A connection to the practice process of this home's network.
pub async fn connect(home: &Home) -> Result<Client, ErrorBody> {
    let rendezvous = read(&address(home))?;
    Client::connect_to(&rendezvous.control).await.map_err(|error| not_running(&error.message))
}

fn not_running(why: &str) -> ErrorBody {
    ErrorBody::new("practice_not_reachable", format!("The practice network does not answer: {why}"))
        .hint("Start a desk on the practice network with `pilothouse up`.")
        .retryable()
        .exit(ExitCode::NotReachable)
}
