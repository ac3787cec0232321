//! The real programs: where they lie, one command run to its end, and a process ended on drop.

use anyhow::{Context, bail};
use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(20);

/// Where the desk lies (`PILOTHOUSE_BIN`, else this tree's build).
pub fn desk_program() -> anyhow::Result<PathBuf> {
    let name = format!("pilothouse{}", std::env::consts::EXE_SUFFIX);
    found(std::env::var_os("PILOTHOUSE_BIN"), &format!("target/debug/{name}"))
}

/// The folder of the wallet's programs (`PILOTHOUSE_LIBEXEC`, else this tree's build).
pub fn libexec() -> anyhow::Result<PathBuf> {
    found(std::env::var_os("PILOTHOUSE_LIBEXEC"), "wallet/executor/target/debug")
}

fn found(named: Option<std::ffi::OsString>, built: &str) -> anyhow::Result<PathBuf> {
    let path = named.map_or_else(|| repository().join(built), PathBuf::from);
    if !path.exists() {
        bail!("{} is missing: build all three programs with `./x build` first", path.display());
    }
    Ok(path)
}

/// The root of this source tree.
pub fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The desk's program, told where the others are.
#[expect(clippy::disallowed_methods, reason = "these tests start the real programs")]
pub fn desk_command() -> anyhow::Result<Command> {
    let mut command = Command::new(desk_program()?);
    command.env("PILOTHOUSE_LIBEXEC", libexec()?).env("PILOTHOUSE_LOG", "debug");
    Ok(command)
}

/// A tool of the system; a missing one is named.
#[expect(clippy::disallowed_methods, reason = "these tests start other people's programs too")]
pub fn tool(name: &str) -> anyhow::Result<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(path) = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.is_file())
    else {
        bail!("{name} is not installed; `./x test` installs what the tests need, where it may");
    };
    Ok(Command::new(path))
}

/// What a command left behind.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The one JSON object on its standard output.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(self.stdout.trim())
            .with_context(|| format!("not one JSON object: {:?} {}", self.stdout, self.stderr))
    }

    pub fn ok(self) -> anyhow::Result<Self> {
        if !self.status.success() {
            bail!("{}: {} {}", self.status, self.stdout, self.stderr);
        }
        Ok(self)
    }
}

/// Runs a command to its end; past `within` it is ended and that is an error.
pub fn finish(command: &mut Command, within: Duration) -> anyhow::Result<Finished> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::spawn(command)?;
    let stdout = drain(running.child.stdout.take());
    let stderr = drain(running.child.stderr.take());
    let Some(status) = running.wait(within)? else {
        drop(running);
        bail!("{command:?} did not end within {within:?}");
    };
    let text = |reading: JoinHandle<Vec<u8>>| {
        reading.join().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    };
    Ok(Finished { status, stdout: text(stdout), stderr: text(stderr) })
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _cut_short = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// A process that ends with this value, and what it started with it.
#[derive(Debug)]
pub struct Running {
    pub child: Child,
}

impl Running {
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        Ok(Self { child })
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its exit status, if it ends in time.
    pub fn wait(&mut self, within: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(POLL);
        }
    }

    /// SIGKILL to it alone.
    pub fn kill(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// The programs that it started and that still run, by name.
    pub fn children(&self) -> Vec<(String, u32)> {
        children_of(self.child.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        let children = self.children();
        self.kill();
        for (_, pid) in children {
            kill(pid);
        }
    }
}

/// SIGKILL by process id.
pub fn kill(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _gone = kill_process(pid, Signal::KILL);
    }
}

/// Direct children by `/proc`, with the names that it gives (cut at 15 characters).
fn children_of(parent: u32) -> Vec<(String, u32)> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        let mut fields = tail.split_whitespace();
        let (state, ppid) = (fields.next()?, fields.next()?.parse::<u32>().ok()?);
        let name = head.split_once('(')?.1;
        (ppid == parent && state != "Z").then(|| (name.to_owned(), pid))
    })
    .collect()
}

/// Asks until it holds; what it last said otherwise is the error.
pub fn until(
    what: &str,
    within: Duration,
    mut holds: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    loop {
        let said = holds();
        if matches!(said, Ok(true)) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let why = said.err().map(|error| format!(": {error:#}")).unwrap_or_default();
            bail!("{what}: not within {within:?}{why}");
        }
        std::thread::sleep(POLL * 2);
    }
}
