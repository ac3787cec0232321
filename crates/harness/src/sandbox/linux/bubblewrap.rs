//! How bubblewrap is asked to build the box: namespaces, a read-only system, one writable place.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use super::wire::Order;
use crate::sandbox::Network;

/// Parts of the system that programs need, with nothing of the operator in them.
const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
const ETC: &[&str] = &[
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];
const ETC_NETWORK: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/services"];
/// Inside the box.
pub const WORK: &str = "/work";
pub const TMP: &str = "/tmp";

/// `bwrap` where it is installed.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin", "/bin", "/usr/local/bin"].map(PathBuf::from))
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join("bwrap"))
        .find(|file| file.is_file())
}

/// What Landlock leaves readable: the same system.
pub fn readable(network: Network) -> Vec<PathBuf> {
    let devices = ["/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
    let network = if network == Network::Host { ETC_NETWORK } else { &[] };
    [SYSTEM, ETC, network, &devices].concat().into_iter().map(PathBuf::from).collect()
}

/// Files that the box has of its own, made in the scratch directory.
pub fn write_etc(scratch: &Path) -> std::io::Result<()> {
    let etc = scratch.join("etc");
    fs::create_dir(&etc)?;
    fs::write(etc.join("passwd"), "job:x:1000:1000:job:/tmp:/bin/sh\nnobody:x:65534:65534::/:\n")?;
    fs::write(etc.join("group"), "job:x:1000:\nnogroup:x:65534:\n")?;
    fs::write(etc.join("nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")?;
    fs::write(etc.join("hosts"), "127.0.0.1 localhost\n::1 localhost\n")
}

/// The arguments of bubblewrap up to the command.
pub fn arguments(order: &Order) -> Vec<OsString> {
    let mut args = Arguments::default();
    args.add(["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]);
    args.add(["--unshare-cgroup-try", "--new-session", "--die-with-parent", "--as-pid-1"]);
    args.add(["--uid", "1000", "--gid", "1000", "--hostname", "job", "--cap-drop", "ALL"]);
    if order.inner.network == Network::None {
        args.add(["--unshare-net"]);
    }
    for part in SYSTEM {
        match fs::read_link(part) {
            Ok(target) => args.add([OsString::from("--symlink"), target.into(), part.into()]),
            Err(_) => args.add(["--ro-bind-try", part, part]),
        }
    }
    for part in ETC {
        args.add(["--ro-bind-try", part, part]);
    }
    for name in ["passwd", "group", "nsswitch.conf", "hosts"] {
        let file = order.scratch.join("etc").join(name);
        args.bind("--ro-bind", &file, &Path::new("/etc").join(name));
    }
    if order.inner.network == Network::Host {
        args.add(["--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf"]);
        args.add(["--ro-bind-try", "/etc/services", "/etc/services"]);
    }
    for directory in &order.read_only {
        args.bind("--ro-bind", directory, directory);
    }
    args.add(["--proc", "/proc", "--dev", "/dev"]);
    args.bind("--bind", &order.scratch.join("shm"), Path::new("/dev/shm"));
    args.bind("--bind", &order.scratch.join("tmp"), Path::new(TMP));
    args.bind("--bind", &order.scratch.join("work"), Path::new(WORK));
    // Both are memory of the machine, which nothing would count.
    args.add(["--remount-ro", "/dev", "--remount-ro", "/"]);
    args.add(["--chdir", WORK, "--"]);
    args.0
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<const N: usize>(&mut self, words: [impl Into<OsString>; N]) {
        self.0.extend(words.into_iter().map(Into::into));
    }

    fn bind(&mut self, how: &str, from: &Path, to: &Path) {
        self.add([OsString::from(how), from.into(), to.into()]);
    }
}
