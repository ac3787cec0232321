//! Starts our own programs, keeps them running, and ends them with us.
//!
//! A child holds the read end of a pipe as its standard input and exits when we are gone. Where it
//! needs a secret to start with, that is the first line it reads there.

use domain::ErrorBody;
use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, Command},
    sync::watch,
    task::JoinHandle,
};

const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// A child that ran this long starts again with the first delay.
const STEADY_AFTER: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// A program that does not read its first line is ended.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// What a program is told each time it starts. Called then, so that no copy lies about meanwhile.
pub type FirstLine = Arc<dyn Fn() -> Vec<u8> + Send + Sync>;

/// One of our own programs.
#[derive(Clone, Debug)]
pub struct Program {
    pub name: &'static str,
    pub path: PathBuf,
    pub args: Vec<OsString>,
    /// Takes what it prints.
    pub output: PathBuf,
    /// Variables it gets besides the few that every program needs.
    pub env: Vec<(OsString, OsString)>,
}

/// What a supervised program does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub phase: Phase,
    pub restarts: u32,
    pub pid: Option<u32>,
    pub detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// It ended and is started again after a delay.
    Restarting,
    Stopped,
}

/// Keeps one program running until it is stopped or dropped.
pub struct Supervisor {
    status: watch::Receiver<Status>,
    stop: watch::Sender<bool>,
    running: Option<JoinHandle<()>>,
}

impl Supervisor {
    pub fn start(program: Program) -> Self {
        Self::start_with(program, None)
    }

    /// Starts a program that reads this line, with its end, from its standard input.
    pub fn start_telling(program: Program, first_line: FirstLine) -> Self {
        Self::start_with(program, Some(first_line))
    }

    fn start_with(program: Program, first_line: Option<FirstLine>) -> Self {
        let (report, status) = watch::channel(Status {
            phase: Phase::Restarting,
            restarts: 0,
            pid: None,
            detail: None,
        });
        let (stop, stopping) = watch::channel(false);
        let running = tokio::spawn(keep_running(program, first_line, report, stopping));
        Self { status, stop, running: Some(running) }
    }

    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Asks it to end, waits, and ends it by force after a while.
    pub async fn stop(mut self) {
        let _already_gone = self.stop.send(true);
        if let Some(running) = self.running.take() {
            let _joined = running.await;
        }
    }
}

async fn keep_running(
    program: Program,
    first_line: Option<FirstLine>,
    report: watch::Sender<Status>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut delay = FIRST_DELAY;
    let mut restarts = 0;
    loop {
        let started = Instant::now();
        let detail = match spawn(&program) {
            Ok(mut child) => {
                // Held here: waiting for a child would close its standard input.
                let lifeline = tell(child.stdin.take(), first_line.as_ref()).await;
                report.send_replace(Status {
                    phase: Phase::Running,
                    restarts,
                    pid: child.id(),
                    detail: None,
                });
                tokio::select! {
                    exit = child.wait() => {
                        drop(lifeline);
                        why_it_ended(exit, &program.output)
                    }
                    () = asked(&mut stopping) => {
                        drop(lifeline);
                        end(&mut child).await;
                        report.send_replace(Status { phase: Phase::Stopped, restarts, pid: None, detail: None });
                        return;
                    }
                }
            }
            Err(error) => format!("{} could not be started: {error}", program.path.display()),
        };
        tracing::warn!(program = program.name, detail, "a program of ours ended");
        if started.elapsed() > STEADY_AFTER {
            delay = FIRST_DELAY;
        }
        restarts += 1;
        report.send_replace(Status {
            phase: Phase::Restarting,
            restarts,
            pid: None,
            detail: Some(detail),
        });
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = asked(&mut stopping) => return,
        }
        delay = (delay * 2).min(LONGEST_DELAY);
    }
}

/// What the system says of the end, and the program's own last line where it ended badly.
fn why_it_ended(exit: io::Result<ExitStatus>, output: &Path) -> String {
    match exit {
        Ok(status) if !status.success() => match last_line(output) {
            Some(line) => format!("{line} ({status})"),
            None => status.to_string(),
        },
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

/// The last line that a program printed, without control characters and not longer than people
/// read.
fn last_line(output: &Path) -> Option<String> {
    const TAIL_BYTES: i64 = 2_048;
    const MOST_CHARS: usize = 300;
    let mut file = File::open(output).ok()?;
    let _shorter_than_that = file.seek(SeekFrom::End(-TAIL_BYTES));
    let mut tail = Vec::new();
    file.take(TAIL_BYTES.unsigned_abs()).read_to_end(&mut tail).ok()?;
    let text = String::from_utf8_lossy(&tail);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(MOST_CHARS).collect())
}

/// Says the first line; a pipe that does not take it is closed, which ends the program.
async fn tell(pipe: Option<ChildStdin>, first_line: Option<&FirstLine>) -> Option<ChildStdin> {
    let mut pipe = pipe?;
    let Some(first_line) = first_line else { return Some(pipe) };
    let mut line = first_line();
    let told = tokio::time::timeout(TOLD_WITHIN, pipe.write_all(&line)).await;
    line.fill(0);
    std::hint::black_box(&line);
    matches!(told, Ok(Ok(()))).then_some(pipe)
}

/// Until the stop is asked for, or nobody is left to ask.
async fn asked(stopping: &mut watch::Receiver<bool>) {
    let _asked_or_dropped = stopping.wait_for(|stop| *stop).await;
}

/// Starts a program with our end of its standard input held open.
#[expect(clippy::disallowed_methods, reason = "supervision of our own programs")]
fn spawn(program: &Program) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(&program.output)?;
    let mut command = Command::new(&program.path);
    command
        .args(&program.args)
        .env_clear()
        .envs(inherited_env())
        .envs(program.env.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true);
    command.spawn()
}

/// What a program of ours prints before it ends by itself, and whether it ended well. One that
/// takes longer is ended.
pub async fn ask(path: &Path, args: &[&str], within: Duration) -> io::Result<(bool, Vec<u8>)> {
    #[expect(clippy::disallowed_methods, reason = "supervision of our own programs")]
    let mut command = Command::new(path);
    command.args(args).env_clear().envs(inherited_env()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(within, command.output())
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok((output.status.success(), output.stdout))
}

/// What every program of ours needs to run: never a secret.
fn inherited_env() -> impl Iterator<Item = (OsString, OsString)> {
    const KEPT: [&str; 11] = [
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "TZ",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "SYSTEMROOT",
        "PILOTHOUSE_LOG",
        "PILOTHOUSE_LIBEXEC",
        "DBUS_SESSION_BUS_ADDRESS",
    ];
    KEPT.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
}

async fn end(child: &mut Child) {
    if tokio::time::timeout(STOP_WITHIN, child.wait()).await.is_err() {
        tracing::warn!("a program of ours did not stop in time and was ended");
        let _already_gone = child.kill().await;
    }
}

/// Finds a program of ours: beside this one, in `$PILOTHOUSE_LIBEXEC`, or in a source tree's build.
pub fn find(name: &str) -> Result<PathBuf, ErrorBody> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let libexec = std::env::var_os("PILOTHOUSE_LIBEXEC").map(PathBuf::from);
    let profile = beside.as_deref().and_then(Path::file_name).map(ToOwned::to_owned);
    let built = own
        .as_deref()
        .and_then(|own| own.ancestors().nth(3))
        .zip(profile)
        .map(|(root, profile)| root.join("wallet/executor/target").join(profile));
    [libexec, beside, built]
        .into_iter()
        .flatten()
        .map(|dir| dir.join(&file))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            ErrorBody::new("program_missing", format!("The program {name} was not found."))
                .hint("Build it with `./x build`, or set PILOTHOUSE_LIBEXEC to its folder.")
        })
}
