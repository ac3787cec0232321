//! The process that holds a seed leaves no copy of its memory anywhere.

use domain::ErrorBody;

/// No core file, and no other process of this user may read our memory or trace us. Comes before
/// anything secret is read; where the system refuses it, nothing is started.
///
/// # Errors
///
/// The system refuses it.
pub fn harden() -> Result<(), ErrorBody> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        setrlimit(Resource::Core, none).map_err(|error| refused(&error))?;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| refused(&error))?;
    }
    Ok(())
}

#[cfg(unix)]
fn refused(error: &rustix::io::Errno) -> ErrorBody {
    ErrorBody::new(
        "not_hardened",
        format!(
            "The system does not let this process forbid core files: {error}. Nothing was started."
        ),
    )
}
