//! How each excess of work is stopped and named, and that nothing of it is left. Each test runs
//! under every backend that works here; as root also as an ordinary user.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod common;

use common::{config, run, sandboxes, sh, text};
use harness::{
    CancellationToken,
    sandbox::{End, LimitHit, Limits, Sandbox, Spec},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

/// Set when this test program runs itself again, to be killed: the mark of its sleep.
const MARK: &str = "HARNESS_TEST_MARK";
const BACKEND: &str = "HARNESS_TEST_BACKEND";
const PLACE: &str = "HARNESS_TEST_PLACE";

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
        for script in
            ["while :; do :; done", "for i in 1 2 3; do (while :; do :; done) & done; wait"]
        {
            let mut spec = sh(script);
            spec.limits = Limits { cpu_secs: 1, wall_ms: 20_000, ..Limits::default() };
            let (outcome, _) = run(&sandbox, &spec).await;
            assert_eq!(outcome.end, End::OverLimit { limit: LimitHit::Cpu }, "{}", text(&outcome));
            // The kernel's own limit goes by ticks, which a busy machine counts too high.
            assert!((500..4_000).contains(&outcome.usage.cpu_ms), "{:?}", outcome.usage);
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

/// Runs `script` under limits that are far smaller than what it takes.
async fn ends_over(sandbox: &Sandbox, script: &str, limit: LimitHit) {
    let mut spec = Spec::command(["python3", "-c", script]);
    spec.limits = Limits {
        memory_bytes: 96 << 20,
        disk_bytes: 32 << 20,
        wall_ms: 20_000,
        ..Limits::default()
    };
    let (outcome, _) = run(sandbox, &spec).await;
    assert_eq!(outcome.end, End::OverLimit { limit }, "{script}\n{}", text(&outcome));
}

#[tokio::test]
async fn files_without_a_name_are_counted_too() {
    let open = "import os, time\nkept = []\nfor n in range(3):\n  f = open(f'f{n}', 'wb')\n  \
                os.unlink(f'f{n}')\n  f.write(bytes(100 << 20))\n  f.flush()\n  kept.append(f)\n\
                time.sleep(3)";
    let of_a_thread = "import ctypes, os, threading, time\ndef hide():\n  f = os.open('f', os.O_RDWR \
                | os.O_CREAT)\n  os.unlink('f')\n  os.write(f, bytes(100 << 20))\n  time.sleep(3)\n\
                threading.Thread(target=hide).start()\nctypes.CDLL(None).syscall(60, 0)";
    let mapped = "import mmap, os, time\nkept = []\nfor n in range(3):\n  f = open(f'f{n}', 'w+b')\n  \
                  f.truncate(100 << 20)\n  kept.append(mmap.mmap(f.fileno(), 100 << 20))\n  f.close()\n  \
                  os.unlink(f'f{n}')\n  kept[n][:] = bytes(100 << 20)\ntime.sleep(3)";
    let tmpfile = "import os, time\nf = os.open('.', os.O_TMPFILE | os.O_RDWR)\n\
                   os.write(f, bytes(100 << 20))\ntime.sleep(3)";
    for sandbox in sandboxes().await {
        for script in [open, of_a_thread, mapped, tmpfile] {
            ends_over(&sandbox, script, LimitHit::Disk).await;
        }
    }
}

#[tokio::test]
async fn files_on_their_way_between_processes_are_counted_too() {
    let script = "import os, socket, time\na, b = socket.socketpair()\nfor n in range(3):\n  \
                  f = os.open('f', os.O_RDWR | os.O_CREAT)\n  os.unlink('f')\n  \
                  os.write(f, bytes(100 << 20))\n  socket.send_fds(a, [b'x'], [f])\n  os.close(f)\n\
                  time.sleep(3)";
    for sandbox in sandboxes().await {
        ends_over(&sandbox, script, LimitHit::Disk).await;
    }
}

#[tokio::test]
async fn memory_that_is_not_resident_is_refused_or_counted() {
    let shared = "import mmap, time\nm = mmap.mmap(-1, 300 << 20)\nfor at in range(0, 300 << 20, 1 \
                  << 20):\n  m[at:at + (1 << 20)] = bytes(1 << 20)\n  m.madvise(mmap.MADV_DONTNEED)\n\
                  print('held')\ntime.sleep(1)";
    let zero = "import mmap, os, time\nf = os.open('/dev/zero', os.O_RDWR)\nm = mmap.mmap(f, 300 << 20)\n\
                for at in range(0, 300 << 20, 1 << 20):\n  m[at:at + (1 << 20)] = bytes(1 << 20)\n  \
                m.madvise(mmap.MADV_DONTNEED)\ntime.sleep(1)\nprint('held')";
    let sockets = "import socket, time\nkept = []\nfor _ in range(400):\n  a, b = socket.socketpair()\n  \
                   a.setblocking(False)\n  kept += [a, b]\n  try:\n    while True: a.send(bytes(4096))\n  \
                   except BlockingIOError: pass\ntime.sleep(3)";
    let leaderless = "import ctypes, threading, time\ndef hog():\n  x = bytearray(150 << 20)\n  \
                      time.sleep(3)\nthreading.Thread(target=hog).start()\n\
                      ctypes.CDLL(None).syscall(60, 0)";
    for sandbox in sandboxes().await {
        for script in [shared, zero] {
            let mut spec = Spec::command(["python3", "-c", script]);
            spec.limits.memory_bytes = 96 << 20;
            let (outcome, _) = run(&sandbox, &spec).await;
            assert!(!text(&outcome).contains("held"), "{script}\n{}", text(&outcome));
        }
        for script in [sockets, leaderless] {
            ends_over(&sandbox, script, LimitHit::Memory).await;
        }
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
async fn a_scratch_directory_stays_until_nothing_of_its_run_is_alive() {
    for sandbox in sandboxes().await {
        let mark = mark(16);
        let scratch = sandbox.scratch().unwrap();
        let root = scratch.work().parent().unwrap().to_path_buf();
        let cancel = CancellationToken::new();
        let spec = sh(&format!("echo x > begun; sleep {mark} & sleep {mark}"));
        let dropped = async {
            let run = sandbox.run(&spec, &scratch, &cancel);
            let begun = async {
                while !scratch.work().join("begun").exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! { _ = run => unreachable!("it sleeps"), () = begun => {} }
        };
        dropped.await;
        drop(scratch);
        let still_there = root.join("work").join("begun").exists();
        assert!(still_there || left(&mark).is_empty(), "it was removed below a living run");
        let started = Instant::now();
        while root.exists() {
            assert!(started.elapsed() < Duration::from_secs(5), "it is never removed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_nothing_left(&mark);
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

#[test]
fn all_of_this_holds_for_an_ordinary_user_too() {
    common::run_again_as_an_ordinary_user();
}
