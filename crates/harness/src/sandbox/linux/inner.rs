//! The inner stage: confines itself, starts the command, waits for it, and says how it ended.

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        prctl,
        signal::Signal,
        wait::{WaitStatus, wait},
    },
    unistd::{Pid, setsid},
};
use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    process::{Command, Stdio},
};

use super::{
    confine, seccomp, tree,
    wire::{self, Backend, GO, InnerOrder, Note},
};
use crate::sandbox::{End, LimitHit, Program};

/// Runs the stage; the exit code only matters to whoever reads a process list.
pub fn main() -> i32 {
    let talk = || -> io::Result<()> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let Some(order) = wire::read::<InnerOrder>(&socket)? else { return Ok(()) };
        let stdin = match confine_to(&order) {
            Ok(stdin) => stdin,
            Err(why) => return wire::write(&socket, &Note::Unfit { why }),
        };
        wire::write(&socket, &Note::Ready)?;
        let mut go = [0];
        if (&socket).read(&mut go)? == 0 || go != [GO] {
            return Ok(());
        }
        let end = match &order.program {
            Program::Command { argv } => run_command(argv, &order, stdin)?,
            Program::Builtin { name, args } => {
                let code = crate::helper::run_builtin(name, args, &order.work, stdin);
                io::stdout().flush()?;
                End::Exited { code }
            }
        };
        let (cpu_ms, peak_memory_bytes) = (tree::waited_cpu_ms(), tree::waited_peak_bytes());
        wire::write(&socket, &Note::Done { end, cpu_ms, peak_memory_bytes })
    };
    i32::from(talk().is_err())
}

/// Gives up everything the order does not grant, and prepares standard input.
fn confine_to(order: &InnerOrder) -> Result<File, String> {
    let why = |what: &'static str| move |error: Errno| format!("{what}: {error}");
    confine::keep_descriptors().map_err(why("keeping our descriptors"))?;
    // Already so under bubblewrap, which makes the session itself.
    let _ = setsid();
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(why("dying with the supervisor"))?;
    // Where the machine runs out of memory, it is the work that goes; no right is needed for this.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    // Nobody of our own user may look into this process or take its socket.
    prctl::set_dumpable(false).map_err(why("hiding from other processes"))?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    std::env::set_current_dir(&order.work)
        .map_err(|error| format!("the work directory: {error}"))?;
    let stdin = standard_input(&order.stdin).map_err(|error| format!("standard input: {error}"))?;
    confine::limit(&order.limits, order.nproc).map_err(why("setting limits"))?;
    let backend = match &order.landlock {
        Some((read, write)) => {
            confine::landlock(read, write, confine::landlock_scopes_signals())?;
            Backend::Landlock
        }
        None => Backend::Bubblewrap,
    };
    seccomp::confine(backend, order.network, order.shares_user)
        .map_err(|error| format!("seccomp: {error}"))?;
    Ok(stdin)
}

/// A file with `bytes` that nobody can write, enlarge or make writable again, through whatever name
/// of it: it is memory that no limit of the run counts.
fn standard_input(bytes: &[u8]) -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"stdin", flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    let seals = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file)
}

fn run_command(argv: &[String], order: &InnerOrder, stdin: File) -> io::Result<End> {
    let Some((program, args)) = argv.split_first() else {
        return Ok(End::NotStarted { why: "the command is empty".into() });
    };
    #[expect(clippy::disallowed_methods, reason = "the harness is where commands start")]
    let mut command = Command::new(program);
    let tmp = &order.tmp;
    command
        .args(args)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", tmp)
        .env("TMPDIR", tmp)
        .env("LANG", "C.UTF-8")
        .env("TZ", "UTC")
        .envs(order.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&order.work)
        .stdin(Stdio::from(stdin));
    match command.spawn() {
        Ok(child) => wait_for(Pid::from_raw(child.id().cast_signed())),
        Err(error) => Ok(End::NotStarted { why: format!("{program}: {error}") }),
    }
}

/// Waits for the command; as process 1 of a box this also reaps what it left behind.
fn wait_for(command: Pid) -> io::Result<End> {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid == command => return Ok(End::Exited { code }),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == command => {
                return Ok(match signal {
                    Signal::SIGXCPU => End::OverLimit { limit: LimitHit::Cpu },
                    Signal::SIGXFSZ => End::OverLimit { limit: LimitHit::FileSize },
                    _ => End::Signaled { signal: signal as i32 },
                });
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
