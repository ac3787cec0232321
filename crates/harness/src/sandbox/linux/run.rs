//! The desk's side of a run: finds the backend that works, starts a supervisor, gathers output.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::{Child, Command},
    sync::Notify,
};

use super::{
    SUPERVISE_STAGE, bubblewrap, confine,
    scratch::Scratch,
    wire::{self, Backend, InnerOrder, Order, Report},
};
use crate::{
    CancellationToken,
    sandbox::{
        Captured, End, Limits, Outcome, Probe, Program, SandboxConfig, SandboxError, Spec, Tried,
    },
};

/// What a supervisor may take beyond the run's own time before it counts as hanging.
const SUPERVISOR_SPARE: Duration = Duration::from_secs(60);
/// The name of the check that a probe runs inside.
pub const PROBE_BUILTIN: &str = "probe";

/// The sandbox of this machine. Cheap to clone; any number of runs at once.
#[derive(Clone, Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: SandboxConfig,
    probe: Probe,
    chosen: Option<(Backend, PathBuf)>,
}

impl Sandbox {
    /// Tries bubblewrap, then Landlock, each by a real run, and takes the first that works.
    pub async fn detect(config: SandboxConfig) -> Self {
        let mut tried = Vec::new();
        for backend in [Backend::Bubblewrap, Backend::Landlock] {
            if config.only.as_ref().is_some_and(|only| only != backend.name()) {
                continue;
            }
            match try_backend(&config, backend).await {
                Ok(bwrap) => {
                    let hint = tried.first().map(|_| {
                        "Work runs under Landlock. Bubblewrap (`apt install bubblewrap`) \
                         separates it further, where this system lets it make namespaces, and \
                         lets it set the modes of its own files (`chmod`)."
                            .to_owned()
                    });
                    let name = backend.name().to_owned();
                    let probe = Probe { name, available: true, why_not: None, hint, tried };
                    let chosen = Some((backend, bwrap));
                    return Self { shared: Arc::new(Shared { config, probe, chosen }) };
                }
                Err(why_not) => tried.push(Tried { name: backend.name().into(), why_not }),
            }
        }
        let why: Vec<_> = tried.iter().map(|t| format!("{}: {}", t.name, t.why_not)).collect();
        let probe = Probe {
            name: "none".into(),
            available: false,
            why_not: Some(why.join("; ")),
            hint: Some("Install bubblewrap (`apt install bubblewrap`) and allow user namespaces, or use Linux 6.12 or newer with Landlock.".into()),
            tried,
        };
        Self { shared: Arc::new(Shared { config, probe, chosen: None }) }
    }

    /// What was found.
    pub fn probe(&self) -> &Probe {
        &self.shared.probe
    }

    /// A fresh scratch directory for one run.
    pub fn scratch(&self) -> Result<Scratch, SandboxError> {
        Scratch::create(&scratch_root(&self.shared.config))
    }

    /// Runs `spec` in `scratch`, to its end, a limit, or `cancel`. Dropping the future ends the
    /// run as well. Nothing of the run is alive when this returns. Use a scratch directory once.
    pub async fn run(
        &self,
        spec: &Spec,
        scratch: &Scratch,
        cancel: &CancellationToken,
    ) -> Result<Outcome, SandboxError> {
        let Some((backend, bwrap)) = &self.shared.chosen else {
            let why = self.shared.probe.why_not.clone().unwrap_or_default();
            return Err(SandboxError::Unavailable { why });
        };
        let order = order(&self.shared.config, *backend, bwrap.clone(), spec, scratch);
        let outcome = run_order(&self.shared.config, &order, scratch, cancel).await?;
        scratch.check_in_place()?;
        Ok(outcome)
    }
}

/// Where bubblewrap is, when `backend` passes a real run.
async fn try_backend(config: &SandboxConfig, backend: Backend) -> Result<PathBuf, String> {
    let bwrap = match backend {
        Backend::Bubblewrap => bubblewrap::find().ok_or("it is not installed")?,
        Backend::Landlock if !confine::landlock_restricts_files() => {
            return Err("this kernel has no Landlock, or too old a one (Linux 6.2 has it)".into());
        }
        Backend::Landlock => PathBuf::new(),
    };
    let scratch = Scratch::create(&scratch_root(config)).map_err(|error| error.to_string())?;
    let program = Program::Builtin { name: PROBE_BUILTIN.into(), args: Vec::new() };
    let spec =
        Spec { limits: Limits { wall_ms: 20_000, ..Limits::default() }, ..Spec::new(program) };
    let order = order(config, backend, bwrap.clone(), &spec, &scratch);
    let outcome = run_order(config, &order, &scratch, &CancellationToken::new()).await;
    match outcome {
        Ok(Outcome { end: End::Exited { code: 0 }, .. }) => Ok(bwrap),
        Ok(outcome) => {
            let said = String::from_utf8_lossy(&outcome.stderr.bytes).trim().to_owned();
            Err(format!("a trial run ended with {:?}: {said}", outcome.end))
        }
        Err(SandboxError::Setup { why }) => Err(why),
        Err(error) => Err(error.to_string()),
    }
}

fn scratch_root(config: &SandboxConfig) -> PathBuf {
    config.scratch_root.clone().unwrap_or_else(std::env::temp_dir)
}

fn order(
    config: &SandboxConfig,
    backend: Backend,
    bwrap: PathBuf,
    spec: &Spec,
    scratch: &Scratch,
) -> Order {
    let root = scratch.root();
    let (work, tmp, landlock) = match backend {
        Backend::Bubblewrap => (bubblewrap::WORK.into(), bubblewrap::TMP.into(), None),
        Backend::Landlock => {
            let mut read = bubblewrap::readable(spec.network);
            read.extend(config.read_only.iter().cloned());
            // Not the root itself: where `work` lies is for us to say, who read it after the run.
            let write = vec![root.join("work"), root.join("tmp"), PathBuf::from("/dev/null")];
            (root.join("work"), root.join("tmp"), Some((read, write)))
        }
    };
    let inner = InnerOrder {
        program: spec.program.clone(),
        env: spec.env.clone(),
        stdin: spec.stdin.clone(),
        network: spec.network,
        limits: spec.limits,
        nproc: 0,
        shares_user: true,
        work,
        tmp,
        landlock,
    };
    Order {
        backend,
        bwrap,
        scratch: root.to_path_buf(),
        read_only: config.read_only.clone(),
        inner,
    }
}

async fn run_order(
    config: &SandboxConfig,
    order: &Order,
    scratch: &Scratch,
    cancel: &CancellationToken,
) -> Result<Outcome, SandboxError> {
    let asked = Instant::now();
    let limits = &order.inner.limits;
    let (mut socket, mut child) = start(config)?;
    let overflow = Overflow { written: AtomicU64::new(0), passed: Notify::new() };
    let stdout = child.stdout.take().expect("BUG: standard output is piped");
    let stderr = child.stderr.take().expect("BUG: standard error is piped");
    let frame = wire::encode(order).map_err(SandboxError::io("writing the order"))?;
    let patience = Duration::from_millis(limits.wall_ms) + SUPERVISOR_SPARE;
    let talk =
        tokio::time::timeout(patience, talk(&mut socket, &frame, scratch, cancel, &overflow));
    let (report, stdout, stderr) = tokio::join!(
        async {
            let report = talk.await;
            if !matches!(report, Ok(Ok(_))) {
                // It hangs or broke off: its own children are told to die with it.
                let _ = child.start_kill();
            }
            report
        },
        gather(stdout, limits, &overflow),
        gather(stderr, limits, &overflow),
    );
    let _ = child.wait().await;
    scratch.take_back();
    match report {
        Ok(Ok(Report::Over { end, mut usage })) => {
            usage.start_ms = millis(asked.elapsed()).saturating_sub(usage.run_ms);
            Ok(Outcome { end, stdout, stderr, usage })
        }
        Ok(Ok(Report::Failed { why })) => {
            let said = String::from_utf8_lossy(&stderr.bytes);
            let why = [why.as_str(), said.trim()].join(" ").trim_end().to_owned();
            Err(SandboxError::Setup { why })
        }
        Ok(Err(source)) => Err(SandboxError::Io { what: "following the run", source }),
        Err(_) => Err(SandboxError::Setup { why: "the supervisor did not answer in time".into() }),
    }
}

fn start(config: &SandboxConfig) -> Result<(UnixStream, Child), SandboxError> {
    let launch = || {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let helper = config.helper.as_deref().unwrap_or(Path::new("/proc/self/exe"));
        // Not killed on drop: it sees its socket close, and ends the run before itself.
        #[expect(clippy::disallowed_methods, reason = "the harness is where commands start")]
        let child = Command::new(helper)
            .arg(SUPERVISE_STAGE)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok((UnixStream::from_std(ours)?, child))
    };
    launch().map_err(SandboxError::io("starting the sandbox helper"))
}

/// Sends the order, passes on what ends the run early, and waits for the report.
async fn talk(
    socket: &mut UnixStream,
    frame: &[u8],
    scratch: &Scratch,
    cancel: &CancellationToken,
    overflow: &Overflow,
) -> std::io::Result<Report> {
    let (mut from, mut to) = socket.split();
    to.write_all(frame).await?;
    // It has the whole order now, and acts by it also when nobody waits for it any more.
    scratch.lend();
    let report = read_report(&mut from);
    tokio::pin!(report);
    let word = tokio::select! {
        report = &mut report => return report,
        () = cancel.cancelled() => wire::CANCEL,
        () = overflow.passed.notified() => wire::OUTPUT,
    };
    // When it is over already, its report is on the way.
    let _ = to.write_all(&[word]).await;
    report.await
}

async fn read_report(mut from: impl AsyncRead + Unpin) -> std::io::Result<Report> {
    let mut prefix = [0; 4];
    from.read_exact(&mut prefix).await?;
    let mut json = vec![0; wire::frame_len(prefix)?];
    from.read_exact(&mut json).await?;
    Ok(serde_json::from_slice(&json)?)
}

/// What both outputs together have come to.
struct Overflow {
    written: AtomicU64,
    passed: Notify,
}

/// Keeps the first bytes of an output and counts the rest, until it is closed.
async fn gather(
    mut from: impl AsyncRead + Unpin,
    limits: &Limits,
    overflow: &Overflow,
) -> Captured {
    let keep = usize::try_from(limits.output_bytes).unwrap_or(usize::MAX);
    let mut captured = Captured::default();
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let room = keep.saturating_sub(captured.bytes.len()).min(count);
        captured.bytes.extend_from_slice(&buffer[..room]);
        captured.total += count as u64;
        let before = overflow.written.fetch_add(count as u64, Ordering::Relaxed);
        if before + count as u64 > limits.output_stop_bytes {
            overflow.passed.notify_one();
        }
    }
    captured
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
