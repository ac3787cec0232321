//! The sandbox as work meets it: what it cannot reach, and how each excess is stopped and named.
//! Each test runs under every backend that works here; as root also as an ordinary user.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "tests start processes to be kept out of")]

use harness::{
    CancellationToken,
    sandbox::{
        End, LimitHit, Limits, Network, Outcome, Sandbox, SandboxConfig, SandboxError, Scratch,
        Spec,
    },
};
use std::{
    collections::HashSet,
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

/// Set when this test program runs itself again as an ordinary user.
const HELPER: &str = "HARNESS_TEST_HELPER";
/// Set when this test program runs itself again, to be killed: the mark of its sleep.
const MARK: &str = "HARNESS_TEST_MARK";
const BACKEND: &str = "HARNESS_TEST_BACKEND";
const PLACE: &str = "HARNESS_TEST_PLACE";

fn helper() -> PathBuf {
    std::env::var_os(HELPER).map_or_else(|| env!("CARGO_BIN_EXE_harness-helper").into(), PathBuf::from)
}

fn config(only: &str) -> SandboxConfig {
    SandboxConfig { helper: Some(helper()), only: Some(only.into()), ..SandboxConfig::default() }
}

/// Every backend that works here. One must, or nothing below is shown.
async fn sandboxes() -> Vec<Sandbox> {
    let mut all = Vec::new();
    for name in ["bubblewrap", "landlock"] {
        let sandbox = Sandbox::detect(config(name)).await;
        eprintln!("{:?}", sandbox.probe());
        if sandbox.probe().available {
            all.push(sandbox);
        }
    }
    assert!(!all.is_empty(), "no sandbox works here");
    all
}

fn sh(script: &str) -> Spec {
    Spec::command(["/bin/sh", "-c", script])
}

async fn run(sandbox: &Sandbox, spec: &Spec) -> (Outcome, Scratch) {
    let scratch = sandbox.scratch().unwrap();
    let outcome = sandbox.run(spec, &scratch, &CancellationToken::new()).await.unwrap();
    (outcome, scratch)
}

fn text(outcome: &Outcome) -> String {
    format!(
        "{:?}\n{}{}",
        outcome.end,
        String::from_utf8_lossy(&outcome.stdout.bytes),
        String::from_utf8_lossy(&outcome.stderr.bytes)
    )
}

/// A length of sleep that no other test, nor this one as another user, uses.
fn mark(tag: u32) -> String {
    std::env::var(MARK).unwrap_or_else(|_| format!("{tag}{:07}", std::process::id()))
}

fn command_lines() -> impl Iterator<Item = String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok())
}

fn left(mark: &str) -> Vec<String> {
    command_lines().filter(|line| line.contains(mark)).collect()
}

fn assert_nothing_left(mark: &str) {
    assert_eq!(left(mark), Vec::<String>::new());
}

async fn wait_until_nothing_left(mark: &str) {
    let started = Instant::now();
    while !left(mark).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(5), "left: {:?}", left(mark));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_command_runs_over_its_files_and_its_output_comes_back() {
    for sandbox in sandboxes().await {
        let scratch = sandbox.scratch().unwrap();
        fs::write(scratch.work().join("input.txt"), "from outside").unwrap();
        let mut spec = sh("cat input.txt; cat; echo $NAME >&2; echo made > made.txt; exit 7");
        spec.stdin = b" and stdin".to_vec();
        spec.env = vec![("NAME".into(), "value".into())];
        let outcome = sandbox.run(&spec, &scratch, &CancellationToken::new()).await.unwrap();
        assert_eq!(outcome.end, End::Exited { code: 7 }, "{}", text(&outcome));
        assert_eq!(outcome.stdout.bytes, b"from outside and stdin");
        assert_eq!(outcome.stderr.bytes, b"value\n");
        assert_eq!(fs::read_to_string(scratch.work().join("made.txt")).unwrap(), "made\n");
    }
}

#[tokio::test]
async fn a_command_that_does_not_exist_or_dies_by_a_signal_is_told_apart() {
    for sandbox in sandboxes().await {
        let (outcome, _) = run(&sandbox, &Spec::command(["no-such-program"])).await;
        assert!(matches!(outcome.end, End::NotStarted { .. }), "{}", text(&outcome));
        let (outcome, _) = run(&sandbox, &sh("kill -TERM $$")).await;
        assert_eq!(outcome.end, End::Signaled { signal: 15 });
    }
}

#[tokio::test]
async fn work_never_runs_as_root_nor_with_groups_or_privileges() {
    for sandbox in sandboxes().await {
        let (outcome, scratch) = run(&sandbox, &sh("cat /proc/self/status; touch mine; id -u")).await;
        let owner = fs::metadata(scratch.work().join("mine")).unwrap();
        let own = fs::metadata("/proc/self").unwrap().uid();
        assert_ne!(owner.uid(), 0, "{}", text(&outcome));
        if own == 0 {
            assert!(owner.uid() >= 65_534, "not the user {own}, nor another real one");
        } else {
            assert_eq!(owner.uid(), own);
        }
        let said = text(&outcome);
        assert!(!said.lines().any(|line| line == "0"), "{said}");
        if sandbox.probe().name == "bubblewrap" {
            for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"] {
                assert!(said.contains(line), "{line} in {said}");
            }
        }
    }
}

#[tokio::test]
async fn two_runs_of_root_do_not_share_a_user() {
    for sandbox in sandboxes().await {
        let (_, first) = run(&sandbox, &sh("touch mine; sleep 0.2")).await;
        let (_, second) = run(&sandbox, &sh("touch mine")).await;
        let owner = |scratch: &Scratch| fs::metadata(scratch.work().join("mine")).unwrap().uid();
        if fs::metadata("/proc/self").unwrap().uid() == 0 && owner(&first) != 65_534 {
            assert_ne!(owner(&first), owner(&second));
        }
    }
}

#[tokio::test]
async fn nothing_of_the_operator_can_be_read_or_changed() {
    let secret = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(secret.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = secret.path().join("seed");
    fs::write(&file, "abandon abandon").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    for sandbox in sandboxes().await {
        let file = file.display();
        let me = std::process::id();
        for attempt in [
            format!("cat {file}"),
            format!("echo x >> {file}"),
            format!("rm {file}"),
            format!("ln {file} here && cat here"),
            format!("ln -s {file} here && cat here"),
            "cat /etc/shadow".into(),
            "ls /root".into(),
            "ls /home".into(),
            "ls /var".into(),
            "ls /run".into(),
            format!("cat /proc/{me}/environ"),
            format!("cat /proc/{me}/cmdline"),
            format!("ls /proc/{me}/root/"),
            "cat /proc/1/environ".into(),
            "touch /usr/x".into(),
            "touch /x".into(),
            "touch /dev/x".into(),
            "touch /etc/x".into(),
            "mkdir /proc/x".into(),
        ] {
            let (outcome, _) = run(&sandbox, &sh(&attempt)).await;
            let refused = matches!(outcome.end, End::Exited { code: 1.. });
            // Inside a box of its own, process 1 is the box's.
            assert!(refused || outcome.stdout.bytes.is_empty(), "{attempt}: {}", text(&outcome));
            let said = text(&outcome);
            assert!(refused && !said.contains("abandon"), "{attempt}: {said}");
        }
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "abandon abandon");
}

#[tokio::test]
async fn our_environment_and_descriptors_do_not_leak_in() {
    for sandbox in sandboxes().await {
        let (outcome, _) = run(&sandbox, &Spec::command(["env"])).await;
        let names: HashSet<String> = String::from_utf8_lossy(&outcome.stdout.bytes)
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
            .collect();
        let expected = ["PATH", "HOME", "TMPDIR", "LANG", "TZ"].map(String::from);
        assert_eq!(names, HashSet::from(expected), "{}", text(&outcome));
        let script = "import os\nfor n in range(3, 100):\n  try: print(os.readlink(f'/dev/fd/{n}') \
                      if os.path.isdir('/dev/fd') else oct(os.fstat(n).st_mode))\n  except OSError: pass";
        if fs::exists("/usr/bin/python3").unwrap() {
            let (outcome, _) = run(&sandbox, &Spec::command(["python3", "-c", script])).await;
            let said = String::from_utf8_lossy(&outcome.stdout.bytes).trim().to_owned();
            assert_eq!((&outcome.end, said.as_str()), (&End::Exited { code: 0 }, ""));
        }
    }
}

#[tokio::test]
async fn the_network_is_refused_unless_granted() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached");
    for sandbox in sandboxes().await {
        let mut spec = Spec::command(["/bin/bash", "-c", &script]);
        let (outcome, _) = run(&sandbox, &spec).await;
        assert_eq!(outcome.end, End::Exited { code: 1 }, "{}", text(&outcome));
        spec.network = Network::Host;
        let (outcome, _) = run(&sandbox, &spec).await;
        assert_eq!(outcome.end, End::Exited { code: 0 }, "{}", text(&outcome));
    }
}

#[tokio::test]
async fn kernel_surface_that_no_work_needs_is_denied() {
    let script = r#"
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(*args):
    ctypes.set_errno(0)
    libc.syscall(*args)
    return ctypes.get_errno()
assert os.uname().machine == 'x86_64'
for name, args in {
    'ptrace': (101, 0, 0, 0, 0), 'mount': (165, 0, 0, 0, 0, 0), 'unshare': (272, 0x10000000),
    'keyctl': (250, 0, 0), 'bpf': (321, 0, 0, 0), 'userfaultfd': (323, 0), 'io_uring': (425, 1, 0),
    'perf': (298, 0, 0, 0, 0, 0), 'memfd': (319, 0, 0), 'clone new user': (56, 0x10000011, 0, 0, 0, 0),
    'prlimit of another': (302, 1, 7, 0, 0), 'shmget': (29, 0, 4096, 0o1600), 'setns': (308, 3, 0),
}.items():
    errno = call(*args)
    assert errno == 1, (name, errno)
assert call(435, 0, 0) == 38
pid = os.fork()
if pid == 0: os._exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
pid = os.fork()
if pid == 0:
    call(0x40000000 | 39)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -31, 'x32 calls end the process'
print('held')
"#;
    if cfg!(target_arch = "x86_64") && fs::exists("/usr/bin/python3").unwrap() {
        for sandbox in sandboxes().await {
            let (outcome, _) = run(&sandbox, &Spec::command(["python3", "-c", script])).await;
            assert_eq!(outcome.stdout.bytes, b"held\n", "{}", text(&outcome));
        }
    }
}

#[tokio::test]
async fn a_sleeper_is_ended_at_its_time_limit() {
    for sandbox in sandboxes().await {
        let mark = mark(11);
        let mut spec = sh(&format!("echo begun; sleep {mark}"));
        spec.limits.wall_ms = 300;
        let started = Instant::now();
        let (outcome, _) = run(&sandbox, &spec).await;
        assert_eq!(outcome.end, End::TimedOut, "{}", text(&outcome));
        assert_eq!(outcome.stdout.bytes, b"begun\n");
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_nothing_left(&mark);
    }
}

#[tokio::test]
async fn an_endless_loop_is_ended_at_its_cpu_limit_also_when_spread_over_children() {
    for sandbox in sandboxes().await {
        for script in ["while :; do :; done", "for i in 1 2 3; do (while :; do :; done) & done; wait"] {
            let mut spec = sh(script);
            spec.limits = Limits { cpu_secs: 1, wall_ms: 20_000, ..Limits::default() };
            let (outcome, _) = run(&sandbox, &spec).await;
            assert_eq!(outcome.end, End::OverLimit { limit: LimitHit::Cpu }, "{}", text(&outcome));
            assert!((900..4_000).contains(&outcome.usage.cpu_ms), "{:?}", outcome.usage);
        }
    }
}

#[tokio::test]
async fn a_fork_bomb_is_stopped_and_named() {
    for sandbox in sandboxes().await {
        let mark = mark(12);
        let script = format!("b() {{ b | b & }}; b; sleep {mark}");
        let mut spec = Spec::command(["/bin/bash", "-c", &script]);
        spec.limits = Limits { processes: 40, wall_ms: 20_000, ..Limits::default() };
        let (outcome, _) = run(&sandbox, &spec).await;
        let expected = End::OverLimit { limit: LimitHit::Processes };
        assert_eq!(outcome.end, expected, "{}", text(&outcome));
        assert_nothing_left(&mark);
    }
}

#[tokio::test]
async fn a_memory_hog_is_stopped_and_named_also_when_spread_over_children() {
    let one = "x=[]\nwhile True: x.append(bytearray(1 << 20))";
    let many = "import os\nfor _ in range(4): os.fork()\nx=bytearray(12 << 20)\n\
                import time\ntime.sleep(60)";
    let shm = "import mmap\nf=open('/dev/shm/x','wb') if __import__('os').path.isdir('/dev/shm/.') \
               else open('x','wb')\nwhile True: f.write(bytes(1 << 20))";
    for sandbox in sandboxes().await {
        for script in [one, many] {
            let mut spec = Spec::command(["python3", "-c", script]);
            spec.limits = Limits { memory_bytes: 128 << 20, wall_ms: 20_000, ..Limits::default() };
            let (outcome, _) = run(&sandbox, &spec).await;
            let expected = End::OverLimit { limit: LimitHit::Memory };
            assert_eq!(outcome.end, expected, "{}", text(&outcome));
            assert!(outcome.usage.peak_memory_bytes < 512 << 20, "{:?}", outcome.usage);
        }
        let mut spec = Spec::command(["python3", "-c", shm]);
        spec.limits = Limits { file_bytes: 32 << 20, ..Limits::default() };
        let (outcome, _) = run(&sandbox, &spec).await;
        assert_ne!(outcome.end, End::Exited { code: 0 }, "{}", text(&outcome));
    }
}

#[tokio::test]
async fn endless_output_is_cut_and_stopped_and_long_output_is_marked() {
    for sandbox in sandboxes().await {
        let mut spec = sh("yes");
        spec.limits.output_stop_bytes = 8 << 20;
        let (outcome, _) = run(&sandbox, &spec).await;
        assert_eq!(outcome.end, End::OverLimit { limit: LimitHit::Output });
        assert_eq!(outcome.stdout.bytes.len(), 64 << 10);
        assert!(outcome.stdout.truncated());
        let (outcome, _) = run(&sandbox, &sh("head -c 100000 /dev/zero; echo short >&2")).await;
        assert_eq!(outcome.end, End::Exited { code: 0 }, "{}", text(&outcome));
        assert_eq!((outcome.stdout.total, outcome.stdout.truncated()), (100_000, true));
        assert_eq!((outcome.stderr.total, outcome.stderr.truncated()), (6, false));
    }
}

#[tokio::test]
async fn a_full_disk_is_prevented_by_size_and_by_count() {
    for sandbox in sandboxes().await {
        for script in [
            "i=0; while :; do head -c 1000000 /dev/zero > f$i; i=$((i+1)); done",
            "i=0; while :; do mkdir d$i; : > d$i/f; i=$((i+1)); done",
        ] {
            let mut spec = sh(script);
            spec.limits.disk_bytes = 64 << 20;
            spec.limits.files = 500;
            let (outcome, _) = run(&sandbox, &spec).await;
            let expected = End::OverLimit { limit: LimitHit::Disk };
            assert_eq!(outcome.end, expected, "{}", text(&outcome));
        }
        let mut spec = sh("exec head -c 10000000 /dev/zero > f");
        spec.limits.file_bytes = 1 << 20;
        let (outcome, _) = run(&sandbox, &spec).await;
        assert_eq!(outcome.end, End::OverLimit { limit: LimitHit::FileSize }, "{}", text(&outcome));
    }
}

#[tokio::test]
async fn what_escapes_its_session_is_ended_with_the_rest() {
    for sandbox in sandboxes().await {
        let mark = mark(13);
        let escape = format!("setsid sh -c 'setsid sleep {mark} & sleep {mark}' & sleep 0.1");
        let mut spec = sh(&escape);
        let started = Instant::now();
        let (outcome, _) = run(&sandbox, &spec).await;
        assert_eq!(outcome.end, End::Exited { code: 0 }, "{}", text(&outcome));
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_nothing_left(&mark);
        spec = sh(&format!("setsid sleep {mark} & wait"));
        spec.limits.wall_ms = 200;
        let (outcome, _) = run(&sandbox, &spec).await;
        assert_eq!(outcome.end, End::TimedOut);
        assert_nothing_left(&mark);
    }
}

#[tokio::test]
async fn a_run_ends_when_cancelled_and_when_its_future_is_dropped() {
    for sandbox in sandboxes().await {
        let scratch = sandbox.scratch().unwrap();
        let cancel = CancellationToken::new();
        let mark = mark(14);
        let spec = sh(&format!("setsid sleep {mark} & sleep {mark}"));
        let (outcome, ()) = tokio::join!(sandbox.run(&spec, &scratch, &cancel), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            cancel.cancel();
        });
        assert_eq!(outcome.unwrap().end, End::Cancelled);
        assert_nothing_left(&mark);
        let scratch = sandbox.scratch().unwrap();
        let late = Duration::from_millis(300);
        let cancel = CancellationToken::new();
        let dropped = tokio::time::timeout(late, sandbox.run(&spec, &scratch, &cancel)).await;
        assert!(dropped.is_err());
        wait_until_nothing_left(&mark).await;
    }
}

#[tokio::test]
async fn a_run_dies_with_the_program_that_asked_for_it() {
    let mark = mark(15);
    if std::env::var_os(MARK).is_some() {
        let mut config = config(&std::env::var(BACKEND).unwrap());
        config.scratch_root = std::env::var_os(PLACE).map(PathBuf::from);
        let sandbox = Sandbox::detect(config).await;
        run(&sandbox, &sh(&format!("setsid sleep {mark} & sleep {mark}"))).await;
        unreachable!("this program is killed before");
    }
    for sandbox in sandboxes().await {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_run_dies_with_the_program_that_asked_for_it"])
            .env(MARK, &mark)
            .env(BACKEND, &sandbox.probe().name)
            .env(PLACE, place.path())
            .spawn()
            .unwrap();
        let sleeping = format!("sleep\0{mark}\0");
        let started = Instant::now();
        while command_lines().filter(|line| *line == sleeping).count() < 2 {
            assert!(started.elapsed() < Duration::from_secs(20), "it never ran");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until_nothing_left(&mark).await;
        // Its scratch directory is gone as well.
        let started = Instant::now();
        while place.path().read_dir().unwrap().next().is_some() {
            assert!(started.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_runs_at_once_each_get_their_own_answer() {
    for sandbox in sandboxes().await {
        let runs = (0..64).map(|n| {
            let sandbox = sandbox.clone();
            tokio::spawn(async move {
                let (outcome, _) = run(&sandbox, &sh(&format!("sleep 0.3; echo {n}"))).await;
                assert_eq!(String::from_utf8_lossy(&outcome.stdout.bytes), format!("{n}\n"));
            })
        });
        for run in runs.collect::<Vec<_>>() {
            run.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_missing_backend_is_refused_with_reasons_and_nothing_runs() {
    let config = SandboxConfig { helper: Some("/bin/false".into()), ..SandboxConfig::default() };
    let sandbox = Sandbox::detect(config).await;
    let probe = sandbox.probe();
    assert!(!probe.available && probe.hint.is_some());
    assert_eq!(probe.tried.len(), 2, "{probe:?}");
    let scratch = sandbox.scratch().unwrap();
    let refused = sandbox.run(&sh("true"), &scratch, &CancellationToken::new()).await;
    assert!(matches!(refused, Err(SandboxError::Unavailable { .. })), "{refused:?}");
}

#[test]
fn all_of_this_holds_for_an_ordinary_user_too() {
    const USER: u32 = 54_321;
    if fs::metadata("/proc/self").unwrap().uid() != 0 || std::env::var_os(HELPER).is_some() {
        return;
    }
    let place = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = |from: PathBuf, name: &str| {
        let to = place.path().join(name);
        fs::copy(from, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
        to
    };
    let tests = copy(std::env::current_exe().unwrap(), "tests");
    let helper = copy(helper(), "helper");
    let output = Command::new(tests)
        .args(["--test-threads", "1"])
        .env(HELPER, helper)
        .current_dir("/")
        .uid(USER)
        .gid(USER)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
