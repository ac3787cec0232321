//! The one place that knows which system this is: sandbox backend, file modes, links.

use std::{fs, io, path::Path};

#[cfg(target_os = "linux")]
#[path = "sandbox/linux/mod.rs"]
pub(crate) mod backend;

#[cfg(not(target_os = "linux"))]
#[path = "sandbox/unavailable.rs"]
pub(crate) mod backend;

/// Whether the owner may execute the file; systems without the notion say no.
#[cfg(unix)]
pub(crate) fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
pub(crate) fn is_executable(_metadata: &fs::Metadata) -> bool {
    false
}

/// Creates `path` anew, never through a link, with the mode git would give it.
#[cfg(unix)]
pub(crate) fn create_new(path: &Path, executable: bool) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(not(unix))]
pub(crate) fn create_new(path: &Path, _executable: bool) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
pub(crate) fn symlink(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
pub(crate) fn symlink(_target: &str, path: &Path) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!("links are not unpacked on this system ({})", path.display()),
    ))
}
