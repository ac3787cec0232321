//! `wallet chain show|set`: where the Lightning node asks the chain, on every network but practice.

use clap::{Args, Subcommand};
use domain::{ErrorBody, ExitCode, Network};
use host::Home;
use serde_json::{Value, json};
use std::{
    io::BufRead,
    path::{Path, PathBuf},
};
use wallet::chain::{ChainFile, FILE_NAME, Login, Lsps2, MAX_BYTES, Source};

use super::{Context, text};
use crate::services::WALLET_DIR;

#[derive(Debug, Subcommand)]
pub(crate) enum Chain {
    /// The chain source, the peers and where peers may call; no secrets
    Show,
    /// Choose the chain source; the wallet takes it up at its next start
    Set(Box<Set>),
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    #[command(flatten)]
    source: Chosen,
    /// The one certificate that is trusted, by the SHA-256 of its DER in hex
    #[arg(long, value_name = "HEX")]
    certificate_sha256: Option<String>,
    /// bitcoind's RPC user; the password is the first line of standard input
    #[arg(long, conflicts_with = "cookie")]
    user: Option<String>,
    /// bitcoind's cookie file
    #[arg(long, value_name = "FILE")]
    cookie: Option<PathBuf>,
    /// Stay connected to this peer: <node id>@<host>:<port>
    #[arg(long, value_name = "PEER")]
    peer: Vec<String>,
    /// Trust this peer to bring a closing transaction to the chain: nothing is kept for its channels
    #[arg(long, value_name = "NODE_ID")]
    no_reserve: Vec<String>,
    /// Buy inbound liquidity here (LSPS2): <node id>@<host>:<port>; this provider is trusted
    #[arg(long, value_name = "PEER")]
    lsps2: Option<String>,
    /// The provider's token is the next line of standard input
    #[arg(long, requires = "lsps2")]
    lsps2_token: bool,
    /// Let peers of the internet call here: <ip>:<port>
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Chosen {
    /// An Esplora server, https://host/path
    #[arg(long, value_name = "URL")]
    esplora: Option<String>,
    /// An Electrum server, ssl://host:port
    #[arg(long, value_name = "URL")]
    electrum: Option<String>,
    /// bitcoind's RPC, host:port
    #[arg(long, value_name = "HOST:PORT")]
    bitcoind: Option<String>,
}

impl Chain {
    pub fn run(self, context: &Context) -> Result<(), ErrorBody> {
        let home = context.home()?;
        let network = context.network();
        let file = match self {
            Self::Show => read(&home, network)?,
            Self::Set(set) => {
                let file = set.file(network, &mut std::io::stdin().lock())?;
                write(&home, network, &file)?;
                file
            }
        };
        let shown = shown(&file);
        context.out.result(&shown, || lines(&shown));
        Ok(())
    }
}

impl Set {
    /// Secrets are lines of `input`, never arguments.
    fn file(self, network: Network, input: &mut impl BufRead) -> Result<ChainFile, ErrorBody> {
        let usage = |text: &str| ErrorBody::new("bad_source", text).exit(ExitCode::Usage);
        let certificate_sha256 = self.certificate_sha256;
        let source = match (self.source.esplora, self.source.electrum, self.source.bitcoind) {
            (Some(url), _, _) => Source::Esplora { url, certificate_sha256 },
            (_, Some(url), _) => Source::Electrum { url, certificate_sha256 },
            (_, _, Some(address)) => {
                let (host, port) = address
                    .rsplit_once(':')
                    .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)))
                    .ok_or_else(|| usage("bitcoind's RPC is named host:port."))?;
                let login = match (self.user, self.cookie) {
                    (Some(user), _) => Login::Password { user, password: line(input)? },
                    (None, Some(file)) => Login::CookieFile(absolute(&file)?),
                    (None, None) => {
                        return Err(usage("bitcoind's RPC needs --user or --cookie."));
                    }
                };
                Source::Bitcoind { host, port, login }
            }
            (None, None, None) => return Err(usage("Name a chain source.")),
        };
        let token = self.lsps2_token.then(|| line(input)).transpose()?;
        let file = ChainFile {
            peers: self.peer,
            no_reserve: self.no_reserve,
            lsps2: self.lsps2.map(|node| Lsps2 { node, token }),
            listen: self.listen,
            ..ChainFile::new(network, source)
        };
        file.check(network).map_err(|fault| usage(&format!("Nothing was written: {fault}.")))?;
        Ok(file)
    }
}

fn line(input: &mut impl BufRead) -> Result<String, ErrorBody> {
    let mut line = String::new();
    let read = std::io::Read::take(input, 4_096).read_line(&mut line);
    match read {
        Ok(_) if !line.trim().is_empty() => Ok(line.trim().to_owned()),
        _ => Err(ErrorBody::new("no_secret", "A secret was expected on standard input.")
            .exit(ExitCode::Usage)),
    }
}

fn absolute(path: &Path) -> Result<String, ErrorBody> {
    std::path::absolute(path)
        .map(|path| path.display().to_string())
        .map_err(|error| ErrorBody::new("bad_source", error.to_string()).exit(ExitCode::Usage))
}

fn read(home: &Home, network: Network) -> Result<ChainFile, ErrorBody> {
    let bytes = std::fs::read(home.join(WALLET_DIR).join(FILE_NAME)).map_err(|_| {
        ErrorBody::refused("no_chain_source", format!("No chain source is chosen for {network}."))
            .hint("Choose one with `pilothouse wallet chain set`.")
    })?;
    ChainFile::parse(&bytes[..bytes.len().min(MAX_BYTES + 1)], network).map_err(|fault| {
        ErrorBody::new("bad_chain_file", format!("The file is not used: {fault}."))
    })
}

/// The home's network was fixed by its first file.
fn write(home: &Home, network: Network, file: &ChainFile) -> Result<(), ErrorBody> {
    if network == Network::Practice {
        return Err(ErrorBody::refused(
            "practice_source",
            "The practice network brings its own chain; nothing was written.",
        ));
    }
    let dir = home.dir(WALLET_DIR).map_err(crate::cli::home_error)?;
    if let Ok(bytes) = std::fs::read(dir.join(FILE_NAME))
        && let Ok(known) = serde_json::from_slice::<Value>(&bytes)
        && known["network"] != json!(network)
    {
        return Err(ErrorBody::refused(
            "other_network",
            format!(
                "This home is of the {} network. Nothing was written.",
                text(&known["network"])
            ),
        )
        .hint("Another network is another home: choose one with --home."));
    }
    let bytes = serde_json::to_vec_pretty(file)
        .map_err(|error| ErrorBody::new("internal", error.to_string()))?;
    host::home::write_private(&dir.join(FILE_NAME), &bytes)
        .map_err(|error| ErrorBody::new("not_written", error.to_string()))
}

/// Without secrets: a URL's path may be one.
fn shown(file: &ChainFile) -> Value {
    let server = file.source.server().map(|server| server.authority()).unwrap_or_default();
    json!({
        "network": file.network, "kind": file.source.kind(), "server": server,
        "peers": file.peers, "no_reserve": file.no_reserve,
        "lsps2": file.lsps2.as_ref().map(|lsps2| &lsps2.node), "listen": file.listen,
    })
}

fn lines(shown: &Value) -> String {
    let mut lines =
        vec![format!("source   {} at {}", text(&shown["kind"]), text(&shown["server"]))];
    let peers = shown["peers"].as_array().into_iter().flatten();
    lines.extend(peers.map(|peer| format!("peer     {}", text(peer))));
    for (name, label) in [("lsps2", "inbound  "), ("listen", "listens  ")] {
        lines.extend(shown[name].as_str().map(|value| format!("{label}{value}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        chain: Chain,
    }

    fn set(args: &[&str], input: &str) -> Result<ChainFile, ErrorBody> {
        let line = Line::try_parse_from([&["x", "set"], args].concat())
            .map_err(|error| ErrorBody::new("usage", error.to_string()))?;
        match line.chain {
            Chain::Set(set) => set.file(Network::Signet, &mut input.as_bytes()),
            Chain::Show => panic!("it is `set`"),
        }
    }

    #[test]
    fn one_source_is_chosen_and_secrets_come_by_standard_input() {
        let file = set(&["--bitcoind", "127.0.0.1:38332", "--user", "u"], "hush\n").unwrap();
        let Source::Bitcoind { login: Login::Password { password, .. }, .. } = &file.source else {
            panic!("bitcoind")
        };
        assert_eq!(password, "hush");
        assert!(!shown(&file).to_string().contains("hush"));
        assert!(set(&["--esplora", "https://x.example/api"], "").is_ok());
        for (bad, input) in [
            (&[][..], ""),
            (&["--esplora", "https://x.example", "--electrum", "ssl://x"], ""),
            (&["--esplora", "http://x.example"], ""),
            (&["--bitcoind", "127.0.0.1:1"], ""),
            (&["--bitcoind", "127.0.0.1:1", "--user", "u"], ""),
            (&["--electrum", "ssl://x.example", "--peer", "nobody"], ""),
        ] {
            assert!(set(bad, input).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_home_keeps_its_network_and_practice_has_no_choice() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let source = |network| {
            let url = "https://x.example/key-1234".to_owned();
            ChainFile::new(network, Source::Esplora { url, certificate_sha256: None })
        };
        let code = |network| write(&home, network, &source(network)).map_err(|error| error.code);
        assert_eq!(code(Network::Practice).unwrap_err(), "practice_source");
        assert_eq!(code(Network::Signet), Ok(()));
        assert_eq!(code(Network::Mainnet).unwrap_err(), "other_network");
        let kept = read(&home, Network::Signet).unwrap();
        assert_eq!(kept, source(Network::Signet));
        assert!(!lines(&shown(&kept)).contains("1234"));
    }
}
