//! What work in the sandbox can reach, and what not. Each test runs under every backend that
//! works here; as root also as an ordinary user.
#![cfg(target_os = "linux")]

mod common;

use common::{run, sandboxes, sh, text};
use harness::{
    CancellationToken,
    sandbox::{End, Network, Sandbox, SandboxConfig, SandboxError, Scratch, Spec},
};
use std::{
    collections::HashSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

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
        let (outcome, scratch) =
            run(&sandbox, &sh("cat /proc/self/status; touch mine; id -u")).await;
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
            for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"]
            {
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
    let before = fs::metadata(&file).unwrap();
    for sandbox in sandboxes().await {
        let file = file.display();
        let me = std::process::id();
        for attempt in [
            format!("cat {file}"),
            format!("echo x >> {file}"),
            format!("rm {file}"),
            format!("ln {file} here && cat here"),
            format!("ln -s {file} here && cat here"),
            format!("chmod 0 {file}"),
            format!("chmod 0 {}", secret.path().display()),
            format!("touch -d 2001-01-01 {file}"),
            format!("python3 -c 'import os; os.utime(\"{file}\", (1, 1))'"),
            format!("python3 -c 'import os; os.setxattr(\"{file}\", \"user.x\", b\"x\")'"),
            format!("chgrp $(id -g) {file}"),
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
    let now = fs::metadata(&file).unwrap();
    assert_eq!((now.mode(), now.mtime()), (before.mode(), before.mtime()));
    assert_eq!(fs::metadata(secret.path()).unwrap().mode() & 0o777, 0o755);
}

#[tokio::test]
async fn the_work_directory_stays_where_it_is_so_that_its_reader_is_not_led_away() {
    let outside = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(outside.path().join("id_ed25519"), "of the operator").unwrap();
    let outside = outside.path().display();
    for sandbox in sandboxes().await {
        for script in [
            format!("mv $HOME/../work $HOME/../w2; ln -s {outside} $HOME/../work"),
            format!(
                "ln -s {outside} l; python3 -c 'import ctypes, os; h = os.environ[\"HOME\"]; \
                     ctypes.CDLL(None).syscall(316, -100, b\"l\", -100, (h + \"/../work\").encode(), 2)'"
            ),
            "cd $HOME; rm -r $HOME/../work; : > $HOME/../work".into(),
            ": > $HOME/../beside && mkdir $HOME/../below && mv $HOME/../tmp $HOME/../elsewhere"
                .into(),
        ] {
            let scratch = sandbox.scratch().unwrap();
            let before = fs::symlink_metadata(scratch.work()).unwrap();
            let names = || {
                let root = fs::read_dir(scratch.work().parent().unwrap()).unwrap();
                root.map(|entry| entry.unwrap().file_name()).collect::<HashSet<_>>()
            };
            let mut beside = names();
            sandbox.run(&sh(&script), &scratch, &CancellationToken::new()).await.unwrap();
            let after = fs::symlink_metadata(scratch.work()).unwrap();
            assert!(after.is_dir(), "{script}");
            assert_eq!((after.dev(), after.ino()), (before.dev(), before.ino()), "{script}");
            beside.insert("etc".into());
            assert!(names().is_subset(&beside), "{script}: {:?}", names());
        }
    }
}

#[tokio::test]
async fn standard_input_cannot_be_written() {
    for sandbox in sandboxes().await {
        for script in ["echo x >&0", "echo x > /proc/self/fd/0", "echo x >> /dev/stdin"] {
            let mut spec = sh(&format!("{{ {script}; }} && echo written; cat"));
            spec.stdin = b"given".to_vec();
            let (outcome, _) = run(&sandbox, &spec).await;
            let said = String::from_utf8_lossy(&outcome.stdout.bytes);
            assert_eq!(said, "given", "{script} {}", text(&outcome));
        }
    }
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
import ctypes, os, socket
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
    'shared memory': (9, 0, 4096, 3, 0x21, -1, 0), 'larger pipe': (72, 1, 1031, 1 << 20),
    'a thread with its own files': (56, 0x10900, 0, 0, 0, 0), 'as well': (436, 3, 99, 2),
}.items():
    errno = call(*args)
    assert errno == 1, (name, errno)
assert call(435, 0, 0) == 38
a, b = socket.socketpair()
before = a.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, before // 4)
assert a.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before, 'heard and not granted'
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
async fn ordinary_programs_miss_nothing() {
    let script = "import asyncio, mmap, subprocess, threading\nasync def main():\n  child = await \
                  asyncio.create_subprocess_exec('cat', stdin=-1, stdout=-1)\n  \
                  return (await child.communicate(b'through'))[0]\nassert asyncio.run(main()) == \
                  b'through'\nm = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE)\nm[:2] = b'ok'\n\
                  t = threading.Thread(target=lambda: print(subprocess.check_output(['echo', 'all'])))\n\
                  t.start(); t.join()";
    for sandbox in sandboxes().await {
        let (outcome, _) = run(&sandbox, &Spec::command(["python3", "-c", script])).await;
        assert_eq!(outcome.stdout.bytes, b"b'all\\n'\n", "{}", text(&outcome));
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
    common::run_again_as_an_ordinary_user();
}
