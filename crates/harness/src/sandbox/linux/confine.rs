//! The inner stage's own confinement: limits, and Landlock where no namespace does it.

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope, path_beneath_rules,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::path::PathBuf;

use crate::sandbox::Limits;

/// Programs reserve more address space than they touch; what they touch is counted elsewhere.
const RESERVED_ADDRESS_SPACE_BYTES: u64 = 4 << 30;
const OPEN_FILES: u64 = 1_024;

/// Sets the limits that the kernel keeps per process (getrlimit(2)).
pub fn limit(limits: &Limits, nproc: u64) -> nix::Result<()> {
    let wanted = [
        (Resource::RLIMIT_CPU, limits.cpu_secs),
        (Resource::RLIMIT_AS, limits.memory_bytes.saturating_add(RESERVED_ADDRESS_SPACE_BYTES)),
        // What a single process can grow to between two looks at the whole tree.
        (Resource::RLIMIT_DATA, limits.memory_bytes.saturating_mul(2)),
        (Resource::RLIMIT_FSIZE, limits.file_bytes),
        (Resource::RLIMIT_NOFILE, OPEN_FILES),
        (Resource::RLIMIT_NPROC, nproc),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_MEMLOCK, 1 << 20),
        (Resource::RLIMIT_MSGQUEUE, 0),
    ];
    for (resource, value) in wanted {
        let (_, hard) = getrlimit(resource)?;
        // The signal at the soft limit tells why; a second later the kernel does not ask.
        let spare = u64::from(resource == Resource::RLIMIT_CPU);
        setrlimit(resource, value.min(hard), value.saturating_add(spare).min(hard))?;
    }
    Ok(())
}

/// Lets no descriptor beyond the standard three reach what this process starts.
pub fn keep_descriptors() -> nix::Result<()> {
    const FIRST: nix::libc::c_uint = 3;
    const CLOSE_ON_EXEC: nix::libc::c_int = 1 << 2; // CLOSE_RANGE_CLOEXEC, close_range(2)
    #[expect(
        unsafe_code,
        reason = "no library offers close_range; with this flag it closes nothing"
    )]
    // SAFETY: the call takes three integers, touches no memory and closes no descriptor.
    let result = unsafe { nix::libc::close_range(FIRST, u32::MAX, CLOSE_ON_EXEC) };
    nix::errno::Errno::result(result).map(drop)
}

/// The first Landlock that knows truncation: what we restrict files by.
const FILES: ABI = ABI::V3;

/// Whether this kernel's Landlock can restrict files (Linux 6.2).
pub fn landlock_restricts_files() -> bool {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    ruleset.handle_access(AccessFs::from_all(FILES)).and_then(Ruleset::create).is_ok()
}

/// Whether it can also keep signals inside (Linux 6.12).
pub fn landlock_scopes_signals() -> bool {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    ruleset.scope(Scope::from_all(ABI::V6)).and_then(Ruleset::create).is_ok()
}

/// Leaves this process, and all that it starts, nothing of the file system but `read` and `write`.
pub fn landlock(read: &[PathBuf], write: &[PathBuf], scope_signals: bool) -> Result<(), String> {
    let make_devices = AccessFs::MakeChar | AccessFs::MakeBlock;
    let restrict = || -> Result<_, landlock::RulesetError> {
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(FILES))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V5))?;
        if scope_signals {
            ruleset = ruleset
                .set_compatibility(CompatLevel::HardRequirement)
                .scope(Scope::from_all(ABI::V6))?;
        }
        ruleset
            .create()?
            .set_compatibility(CompatLevel::BestEffort)
            .add_rules(path_beneath_rules(read, AccessFs::from_read(FILES)))?
            .add_rules(path_beneath_rules(write, AccessFs::from_all(FILES) & !make_devices))?
            .restrict_self()
    };
    match restrict() {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => {
            Err("this kernel does not enforce Landlock".into())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("Landlock: {error}")),
    }
}
