//! One real desk: a home, its process, and its command line as the only way in.

use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use crate::programs::{Finished, Running, desk_command, finish, until};

const COMMAND_WITHIN: Duration = Duration::from_secs(90);
const READY_SECS: u64 = 60;
/// Terminal events of a job: `(buyer's, provider's)`.
const OVER: ([&str; 3], [&str; 4]) = (
    ["buy.done", "buy.failed", "buy.cancelled"],
    ["job.refused", "job.delivered", "job.failed", "job.cancelled"],
);

/// A desk with a home of its own; its process ends with this value.
#[derive(Debug)]
pub struct Desk {
    pub home: PathBuf,
    join: Option<PathBuf>,
    running: Option<Running>,
}

impl Desk {
    /// A desk that starts a practice network of its own.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), join: None, running: None }
    }

    /// A desk on the practice network of another home.
    pub fn joining(home: impl Into<PathBuf>, other: &Self) -> Self {
        let join = Some(other.home.join("practice").join("practice.json"));
        Self { home: home.into(), join, running: None }
    }

    /// Starts `up --headless`; `env` holds fault points.
    pub fn start(&mut self, env: &[(&str, String)]) -> anyhow::Result<()> {
        let mut command = desk_command()?;
        command.args(["--json", "--home"]).arg(&self.home).args(["up", "--headless"]);
        // Held by us: whatever ends this test also ends the desk.
        command.arg("--exit-with-parent").stdin(Stdio::piped());
        if let Some(address) = &self.join {
            command.arg("--practice-join").arg(address);
        }
        command.envs(env.iter().map(|(name, value)| (name, value)));
        self.start_as(&mut command)
    }

    /// Starts a command that is this home's desk.
    pub fn start_as(&mut self, command: &mut std::process::Command) -> anyhow::Result<()> {
        fs::create_dir_all(&self.home)?;
        let output = self.home.join("test-output.log");
        let output = OpenOptions::new().create(true).append(true).open(output)?;
        command.stdout(output.try_clone()?).stderr(output);
        self.running = Some(Running::spawn(command)?);
        Ok(())
    }

    /// Waits until it answers, its wallet holds money, and it sells if `selling`.
    pub fn ready(&self, selling: bool) -> anyhow::Result<()> {
        self.wait("wallet=ready", READY_SECS)?;
        self.wait("balance>=1", READY_SECS)?;
        if selling {
            if self.status()?["provider"]["state"] == "offline" {
                self.cli(["provider", "online"])?;
            }
            self.wait("provider=online", READY_SECS)?;
        }
        Ok(())
    }

    /// A command of its command line, whatever comes of it.
    pub fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Finished> {
        let mut command = desk_command()?;
        command.args(["--json", "--home"]).arg(&self.home).args(args);
        finish(&mut command, COMMAND_WITHIN)
    }

    /// A command that must succeed, and its object.
    pub fn cli<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Value> {
        self.run(args)?.ok()?.json()
    }

    pub fn wait(&self, condition: &str, secs: u64) -> anyhow::Result<()> {
        self.cli(["wait", condition, "--timeout", &secs.to_string()])
            .map(drop)
            .with_context(|| format!("{} waits for {condition}", self.home.display()))
    }

    pub fn status(&self) -> anyhow::Result<Value> {
        self.cli(["status"])
    }

    pub fn pubkey(&self) -> anyhow::Result<String> {
        text(&self.status()?["provider"]["pubkey"])
    }

    pub fn balance_msat(&self) -> anyhow::Result<u64> {
        self.cli(["wallet", "balance"])?["balance_msat"].as_u64().context("no balance")
    }

    /// Buys one text extraction and returns its request id without waiting.
    pub fn buy_text(&self, provider: &str, html: &str, timeout: u32) -> anyhow::Result<String> {
        let timeout = timeout.to_string();
        let submitted = self.cli([
            "job",
            "submit",
            "--kind",
            "5000",
            "--text",
            html,
            "--param",
            "media_type=text/html",
            "--provider",
            provider,
            "--timeout",
            &timeout,
            "--no-wait",
        ])?;
        text(&submitted["request_id"])
    }

    pub fn job(&self, id: &str) -> anyhow::Result<Value> {
        self.cli(["job", "show", id])
    }

    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(Running::is_running)
    }

    pub fn process(&mut self) -> Option<&mut Running> {
        self.running.as_mut()
    }

    /// The process id of one of its programs, by a part of the name.
    pub fn program(&self, name: &str) -> Option<u32> {
        let children = self.running.as_ref()?.children();
        children.into_iter().find(|(found, _)| found.contains(name)).map(|(_, pid)| pid)
    }

    /// SIGKILL to the desk's process alone; its programs see that it is gone.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// Stops it by its own command.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        let mut running = self.running.take().context("it does not run")?;
        let asked = self.run(["stop"]);
        let Some(status) = running.wait(Duration::from_secs(40))? else {
            bail!("{} did not stop: {asked:?}", self.home.display());
        };
        Ok(status)
    }

    /// Waits until no program holds its homes, so that the files can be looked at.
    pub fn at_rest(&self) -> anyhow::Result<()> {
        until("the wallet's process ends", Duration::from_secs(20), || {
            let lock = OpenOptions::new().write(true).open(self.home.join("wallet/executor.lock"));
            Ok(lock.map_or(true, |lock| lock.try_lock().is_ok()))
        })
    }

    /// Every event, in order, as `events export` writes it.
    pub fn log(&self) -> anyhow::Result<Vec<Value>> {
        let exported = self.run(["events", "export"])?.ok()?;
        exported.stdout.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    pub fn verify_log(&self) -> anyhow::Result<u64> {
        verified(&self.cli(["events", "verify"])?)
    }

    /// Verifies a copy of the executor's log, which has the same format; it must be at rest.
    pub fn verify_wallet_log(&self) -> anyhow::Result<u64> {
        let copy = tempfile::tempdir()?;
        copy_dir(&self.home.join("wallet"), copy.path())?;
        for end in ["", "-wal", "-shm"] {
            let from = copy.path().join(format!("wallet.db{end}"));
            if from.exists() {
                fs::rename(from, copy.path().join(format!("pilothouse.db{end}")))?;
            }
        }
        Self::new(copy.path()).verify_log().context("the executor's log")
    }

    /// Writes this home's receipts to a file, lets `receipts verify` judge them, and counts them.
    pub fn verify_receipts(&self) -> anyhow::Result<usize> {
        let receipts = self.cli(["receipts", "list", "--count", "1000"])?;
        let count = receipts["receipts"].as_array().map_or(0, Vec::len);
        if count > 0 {
            let file = self.home.join("test-receipts.json");
            fs::write(&file, receipts.to_string())?;
            self.cli(["receipts", "verify", path_text(&file)?])?;
        }
        Ok(count)
    }

    /// How many terminal events the log holds per job stream that has begun.
    pub fn ends(&self) -> anyhow::Result<Vec<(String, usize)>> {
        let mut ends = std::collections::BTreeMap::<String, usize>::new();
        for line in self.log()? {
            let event = &line["event"];
            let (stream, name) = (text(&event["stream"])?, text(&event["type"])?);
            let over: &[&str] = match stream.split_once('/') {
                Some(("buy", _)) => &OVER.0,
                Some(("job", _)) => &OVER.1,
                _ => continue,
            };
            *ends.entry(stream).or_default() += usize::from(over.contains(&name.as_str()));
        }
        Ok(ends.into_iter().collect())
    }

    /// All payments, from the executor itself.
    pub fn payments(&self) -> anyhow::Result<Vec<Value>> {
        let dir = self.home.join("wallet");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = host::ipc::Client::connect(&dir, wallet::wire::SERVICE)
                .await
                .map_err(|error| anyhow::anyhow!(error.message))?;
            let query = json!({ "before": null, "count": 1_000 });
            let answer = client
                .call(wallet::wire::method::HISTORY, query)
                .await
                .map_err(|error| anyhow::anyhow!(error.message))?;
            let payments = answer.get("payments").unwrap_or(&answer).as_array().cloned();
            payments.with_context(|| format!("no list of payments: {answer}"))
        })
    }

    /// Panics that its own or its programs' output tells of.
    pub fn panics(&self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let names = [
            "test-output.log",
            "pilothouse.log",
            "wallet/wallet.out",
            "wallet/wallet.log",
            "practice/practice.out",
        ];
        for name in names {
            let text = fs::read(self.home.join(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let bad = |line: &&str| line.contains("panicked at") || line.contains("BUG:");
            found.extend(text.lines().filter(bad).map(|line| format!("{name}: {line}")));
        }
        Ok(found)
    }
}

/// The text of a JSON value that must be one.
pub fn text(value: &Value) -> anyhow::Result<String> {
    value.as_str().map(ToOwned::to_owned).with_context(|| format!("not a text: {value}"))
}

pub fn path_text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is no text")
}

fn verified(report: &Value) -> anyhow::Result<u64> {
    if report["ok"] != true {
        bail!("the log does not hold: {report}");
    }
    report["events"].as_u64().context("no count of events")
}

/// Copies a folder's plain files and folders; sockets stay where they are.
pub fn copy_dir(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
