//! The system calls that no work needs: denied by seccomp in every sandbox.

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, sock_filter,
};
use std::collections::BTreeMap;

use super::wire::Backend;
use crate::sandbox::Network;

/// Other processes, kernel memory, mounts, keys, new kernel surface, and memory that no limit sees.
const DENIED: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_lookup_dcookie,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// What Landlock does not restrict (landlock(7)): files that may be written by anybody can be changed
/// so, wherever they lie. By descriptor it stays possible, and no descriptor leads outside.
const ATTRIBUTES_BY_PATH: &[libc::c_long] = &[
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    SYS_SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    SYS_REMOVEXATTRAT,
    SYS_FILE_SETATTR,
];

/// The same of a user's own files.
const OWN_BY_PATH: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    libc::SYS_fchownat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
    libc::SYS_inotify_add_watch,
];

// Linux 6.13; the same on every architecture.
const SYS_SETXATTRAT: libc::c_long = 463;
const SYS_REMOVEXATTRAT: libc::c_long = 466;
const SYS_FILE_SETATTR: libc::c_long = 469; // Linux 6.17

/// Calls that may act on oneself only: the argument that names a process must be zero.
const ONESELF_ONLY: &[(libc::c_long, u8)] = &[
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_ioprio_set, 1),
];

const NEW_NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32 as u64;

/// Confines this thread and all that it starts, for good (it also sets no_new_privs).
pub fn confine(
    backend: Backend,
    network: Network,
    shares_user: bool,
) -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter(&refuse_quietly()?)?;
    seccompiler::apply_filter(&ignore()?)?;
    seccompiler::apply_filter(&deny(backend, network, shares_user)?)
}

/// A call that programs probe for and can do without: they hear that it does not exist. `clone3`
/// passes its flags in memory, out of a filter's sight, so `clone` is used in its place.
fn refuse_quietly() -> Result<BpfProgram, seccompiler::Error> {
    compile(BTreeMap::from([(libc::SYS_clone3, vec![])]), libc::ENOSYS)
}

/// Wishes for larger buffers of a socket: heard and not granted, as the kernel does beyond its own
/// limit (socket(7)). How much a socket can hold is what its descriptor is counted as.
fn ignore() -> Result<BpfProgram, seccompiler::Error> {
    let level = (1, Op::Eq, libc::SOL_SOCKET as u64);
    let larger = [libc::SO_SNDBUF, libc::SO_RCVBUF, libc::SO_SNDBUFFORCE, libc::SO_RCVBUFFORCE];
    let rules: Result<Vec<_>, _> =
        larger.iter().map(|wish| when(&[level.clone(), (2, Op::Eq, *wish as u64)])).collect();
    compile(BTreeMap::from([(libc::SYS_setsockopt, rules?)]), 0)
}

fn deny(
    backend: Backend,
    network: Network,
    shares_user: bool,
) -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        DENIED.iter().map(|call| (*call, vec![])).collect();
    if backend == Backend::Landlock {
        rules.extend(ATTRIBUTES_BY_PATH.iter().map(|call| (*call, vec![])));
    }
    if shares_user {
        rules.extend(OWN_BY_PATH.iter().map(|call| (*call, vec![])));
        // Without a path it acts on an open file.
        rules.insert(libc::SYS_utimensat, vec![when(&[(1, Op::Ne, 0)])?]);
    }
    for (call, argument) in ONESELF_ONLY {
        rules.insert(*call, vec![when(&[(*argument, Op::Ne, 0)])?]);
    }
    let mut clone = namespace_flags()?;
    // A thread with descriptors of its own, which nobody would count.
    let (thread, files) = (libc::CLONE_THREAD as u64, libc::CLONE_FILES as u64);
    clone.push(when(&[(0, Op::MaskedEq(thread | files), thread)])?);
    rules.insert(libc::SYS_clone, clone);
    let unshare = u64::from(libc::CLOSE_RANGE_UNSHARE);
    rules.insert(libc::SYS_close_range, vec![when(&[(2, Op::MaskedEq(unshare), unshare)])?]);
    // Shared memory without a file is still there when no process has it resident any more.
    let shared = (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as u64;
    rules.insert(libc::SYS_mmap, vec![when(&[(3, Op::MaskedEq(shared), shared)])?]);
    // A pipe is counted as what it holds when it is made.
    rules.insert(libc::SYS_fcntl, vec![when(&[(1, Op::Eq, libc::F_SETPIPE_SZ as u64)])?]);
    // Typing into, or selecting from, a terminal that we might share.
    let push = [libc::TIOCSTI, libc::TIOCLINUX];
    let push: Result<Vec<_>, _> = push.iter().map(|code| when(&[(1, Op::Eq, *code)])).collect();
    rules.insert(libc::SYS_ioctl, push?);
    match (backend, network) {
        // A network namespace of its own already holds nothing but its own loopback.
        (Backend::Bubblewrap, _) => {}
        (Backend::Landlock, Network::None) => {
            rules.insert(libc::SYS_socket, vec![]);
        }
        // Local sockets reach services of the operator, which would act on work's behalf.
        (Backend::Landlock, Network::Host) => {
            let inet = [libc::AF_INET, libc::AF_INET6].map(|family| family as u64);
            let others = when(&[(0, Op::Ne, inet[0]), (0, Op::Ne, inet[1])])?;
            rules.insert(libc::SYS_socket, vec![others]);
        }
    }
    compile(rules, libc::EPERM)
}

/// One rule per flag: a masked comparison matches only where all the mask's bits are set.
fn namespace_flags() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    (0..64)
        .map(|bit| 1_u64 << bit)
        .filter(|flag| NEW_NAMESPACES & flag != 0)
        .map(|flag| when(&[(0, Op::MaskedEq(flag), flag)]))
        .collect()
}

/// A rule that matches when all of `conditions` (argument, comparison, value) do.
fn when(conditions: &[(u8, Op, u64)]) -> Result<SeccompRule, seccompiler::Error> {
    let conditions: Result<Vec<_>, _> = conditions
        .iter()
        .map(|(argument, op, value)| {
            SeccompCondition::new(*argument, Len::Dword, op.clone(), *value)
        })
        .collect();
    Ok(SeccompRule::new(conditions?)?)
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    errno: i32,
) -> Result<BpfProgram, seccompiler::Error> {
    let arch = std::env::consts::ARCH.try_into()?;
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(if cfg!(target_arch = "x86_64") { refuse_x32(program) } else { program })
}

/// x86-64 has a second numbering of the same calls (x32), which the rules do not know.
fn refuse_x32(mut program: BpfProgram) -> BpfProgram {
    const LOAD_CALL_NUMBER: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS, at offset 0 of seccomp_data
    const JUMP_IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const X32_BIT: u32 = 0x4000_0000;
    let end = u32::from(SeccompAction::KillProcess);
    let mut guard = vec![
        sock_filter { code: LOAD_CALL_NUMBER, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: X32_BIT },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: end },
    ];
    guard.append(&mut program);
    guard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_compiles_and_stays_below_the_kernels_limit() {
        for backend in [Backend::Bubblewrap, Backend::Landlock] {
            for network in [Network::None, Network::Host] {
                for shares_user in [false, true] {
                    let program = deny(backend, network, shares_user).unwrap();
                    assert!((100..4_096).contains(&program.len()), "{}", program.len());
                }
            }
        }
        assert!(!refuse_quietly().unwrap().is_empty() && !ignore().unwrap().is_empty());
        assert_eq!(namespace_flags().unwrap().len(), 7);
    }
}
