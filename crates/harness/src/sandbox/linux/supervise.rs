//! The supervisor of one run: starts it as an unprivileged user, watches it, ends all of it.
//!
//! A process of its own, so that it can be the subreaper of whatever the run starts, and so that
//! its children die with it. It ends the run when the desk's side of its socket closes.

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::prctl,
    unistd::{Uid, geteuid},
};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{
            fs::{MetadataExt, PermissionsExt},
            net::UnixStream,
            process::CommandExt,
        },
    },
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    INNER_STAGE, bubblewrap,
    cgroup::Cgroup,
    confine,
    held::Look,
    identity, tree,
    watch::{Watch, disk_is_full},
    wire::{self, Backend, GO, Note, Order, Report},
};
use crate::sandbox::{End, LimitHit, Network, Usage};

/// How long confining may take, and how long ending everything may take.
const SETUP_LIMIT: Duration = Duration::from_secs(20);
const END_LIMIT: Duration = Duration::from_secs(20);
/// Runs that may share a user where a run cannot have one of its own.
const RUNS_BESIDE: u64 = 16;

pub fn main() -> i32 {
    let talk = || -> io::Result<()> {
        let host = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let Some(order) = wire::read::<Order>(&host)? else { return Ok(()) };
        let scratch = order.scratch.clone();
        let report = supervise(&host, order).unwrap_or_else(|why| Report::Failed { why });
        // Whoever asked may be gone; then nobody else will clear up.
        wire::write(&host, &report).or_else(|_| super::scratch::remove(&scratch))
    };
    i32::from(talk().is_err())
}

fn supervise(host: &UnixStream, mut order: Order) -> Result<Report, String> {
    let fault = |what: &'static str| move |error: Errno| format!("{what}: {error}");
    confine::keep_descriptors().map_err(fault("keeping our descriptors"))?;
    prctl::set_child_subreaper(true).map_err(fault("watching over the run"))?;
    prctl::set_dumpable(false).map_err(fault("hiding from the run"))?;
    let run_as = if geteuid().is_root() { Some(identity::for_root()?) } else { None };
    order.inner.shares_user = false;
    order.inner.nproc = u64::from(order.inner.limits.processes) + 16;
    if order.backend == Backend::Landlock {
        let scoped = confine::landlock_scopes_signals();
        if !scoped && !run_as.is_some_and(|identity| identity.unique) {
            return Err("this kernel's Landlock cannot keep work from signalling other programs \
                        of the same user (Linux 6.12 can)"
                .into());
        }
        order.inner.shares_user = !run_as.is_some_and(|identity| identity.unique);
        if order.inner.shares_user {
            // The kernel counts all of a user's tasks, those of runs beside this one too: only a
            // backstop between two looks at the tree.
            let user = run_as.map_or(geteuid().as_raw(), |identity| identity.id);
            order.inner.nproc = tasks_of_user(user) + RUNS_BESIDE * order.inner.nproc;
        }
    }
    if disk_is_full(&order.scratch) {
        return Err("the disk that work is done on has less than 512 MiB left".into());
    }
    if order.backend == Backend::Bubblewrap {
        bubblewrap::write_etc(&order.scratch).map_err(|error| format!("its /etc: {error}"))?;
    }
    if let Some(identity) = run_as {
        give_away(&order.scratch, identity.id).map_err(|error| format!("chown: {error}"))?;
    }
    let inner = start_inner(&order, run_as).map_err(|error| format!("starting it: {error}"))?;
    let outcome = drive(host, &inner, &order);
    drop(inner);
    outcome
}

/// Starts the inner stage under its user; our end of its socket comes back.
fn start_inner(order: &Order, run_as: Option<identity::Identity>) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    // By descriptor, since the user may not be able to reach the path of this program.
    let program = File::open("/proc/self/exe")?;
    let program_path = format!("/proc/self/fd/{}", program.as_raw_fd());
    #[expect(clippy::disallowed_methods, reason = "the harness is where commands start")]
    let mut command = match order.backend {
        Backend::Landlock => Command::new(program_path),
        Backend::Bubblewrap => {
            fcntl(&program, FcntlArg::F_SETFD(FdFlag::empty()))?;
            let mut command = Command::new(&order.bwrap);
            command.args(bubblewrap::arguments(order)).arg(program_path);
            command
        }
    };
    command.arg(INNER_STAGE).env_clear().stdin(Stdio::from(OwnedFd::from(theirs)));
    if let Some(identity) = run_as {
        // The standard library gives up the supplementary groups as well.
        command.uid(identity.id).gid(identity.id);
    }
    command.spawn()?;
    Ok(ours)
}

fn drive(host: &UnixStream, inner: &UnixStream, order: &Order) -> Result<Report, String> {
    let limits = &order.inner.limits;
    let started = Instant::now();
    let fault = |error: io::Error| format!("talking to the run: {error}");
    inner.set_read_timeout(Some(SETUP_LIMIT)).map_err(fault)?;
    let ready = wire::write(inner, &order.inner).and_then(|()| wire::read::<Note>(inner));
    let why = match ready {
        Ok(Some(Note::Ready)) => None,
        Ok(Some(Note::Unfit { why })) => Some(why),
        Ok(_) => Some(format!("{} ended before the command was started", order.backend.name())),
        Err(error) => Some(format!("{} did not come up: {error}", order.backend.name())),
    };
    // Nothing of the work is there yet.
    let ours = tree::descendants();
    let group = if why.is_none() { Cgroup::create(limits) } else { None };
    let group = group.filter(|group| group.adopt(&ours).is_ok());
    if let Some(why) = why {
        tree::end_all(END_LIMIT);
        return Err(why);
    }
    let start_ms = millis(started.elapsed());
    let go = Instant::now();
    // Where it is gone by now, following it says so.
    let _ = (&*inner).write_all(&[GO]);
    let look = Look { ours, file_bytes: limits.file_bytes, own_network: has_own_network(order) };
    let mut watch = Watch::new(*limits, &order.scratch, group.as_ref(), look);
    let mut end = follow(host, inner, &mut watch, go);
    let run_ms = millis(go.elapsed());
    if group.as_ref().is_some_and(Cgroup::ran_out_of_memory) {
        end = End::OverLimit { limit: LimitHit::Memory };
    }
    watch.look_at_tree();
    if let Some(group) = &group {
        group.kill();
    }
    if !tree::end_all(END_LIMIT) {
        return Err("the run could not be ended; see the processes of this machine".into());
    }
    let usage = Usage {
        start_ms,
        run_ms,
        // What is killed as a whole is not waited for one by one.
        cpu_ms: watch.cpu_ms().max(tree::waited_cpu_ms()),
        peak_memory_bytes: watch.peak_memory_bytes().max(tree::waited_peak_bytes()),
    };
    Ok(Report::Over { end, usage })
}

fn has_own_network(order: &Order) -> bool {
    order.backend == Backend::Bubblewrap && order.inner.network == Network::None
}

/// Waits for the first of: the command's end, the host's word, a limit.
fn follow(host: &UnixStream, inner: &UnixStream, watch: &mut Watch<'_>, go: Instant) -> End {
    loop {
        let wait = watch.next_look(go.elapsed());
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        let mut fds = [
            PollFd::new(host.as_fd(), PollFlags::POLLIN),
            PollFd::new(inner.as_fd(), PollFlags::POLLIN),
        ];
        let polled = poll(&mut fds, timeout);
        let [from_host, from_inner] = fds.map(|fd| fd.any().unwrap_or(true));
        match polled {
            Ok(0) | Err(Errno::EINTR) => {}
            Err(_) => return End::Cancelled,
            Ok(_) if from_inner => {
                return match wire::read::<Note>(inner) {
                    Ok(Some(Note::Done { end, cpu_ms, peak_memory_bytes })) => {
                        watch.was_told(cpu_ms, peak_memory_bytes);
                        end
                    }
                    // The inner stage was killed: by the kernel for its limits, or by the run.
                    _ => End::Signaled { signal: nix::libc::SIGKILL },
                };
            }
            Ok(_) if from_host => {
                let mut word = [0];
                return match (&*host).read(&mut word) {
                    Ok(1) if word == [wire::OUTPUT] => End::OverLimit { limit: LimitHit::Output },
                    _ => End::Cancelled,
                };
            }
            Ok(_) => {}
        }
        tree::reap();
        if let Some(end) = watch.look(go.elapsed()) {
            return end;
        }
    }
}

/// Gives what is in the scratch directory, which nobody else can reach yet, to the run's user. The
/// directory itself stays ours: that user may pass through it, but not change what lies in it.
fn give_away(scratch: &Path, id: u32) -> io::Result<()> {
    let mut waiting = vec![scratch.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            std::os::unix::fs::lchown(entry.path(), Some(id), Some(id))?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    fs::set_permissions(scratch, fs::Permissions::from_mode(0o711))
}

/// Threads that the user has already: RLIMIT_NPROC counts them too.
fn tasks_of_user(id: u32) -> u64 {
    let user = Uid::from_raw(id).as_raw();
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    processes
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
        .filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == user))
        .map(|entry| {
            fs::read_dir(entry.path().join("task")).map_or(1, |tasks| tasks.count() as u64)
        })
        .sum()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
