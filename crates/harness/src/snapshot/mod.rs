//! A real directory as one deterministic archive with a manifest, and back, safely.

mod manifest;
mod pack;
mod unpack;

#[cfg(test)]
mod tests;

pub use manifest::{Entry, EntryKind, Manifest};
pub use pack::{PackError, Packed, Skipped, pack, pack_while};
pub use unpack::{UnpackError, scan, unpack};

/// The media type of a packed snapshot: a tar archive (ustar), compressed by gzip.
pub const MEDIA_TYPE: &str = "application/gzip";

/// How large a snapshot may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// Files, links and directories, also those that only paths imply.
    pub entries: u32,
    /// All files together, unpacked.
    pub total_bytes: u64,
    pub file_bytes: u64,
    pub archive_bytes: u64,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self {
            entries: 20_000,
            total_bytes: 256 << 20,
            file_bytes: 64 << 20,
            archive_bytes: 64 << 20,
        }
    }
}

/// The longest path, in bytes and in steps.
const PATH_BYTES: usize = 1_024;
const PATH_STEPS: usize = 64;

/// Whether `path` names a place strictly below a root, in the one spelling there is for it.
pub(crate) fn is_plain_path(path: &str) -> bool {
    let step_is_plain = |step: &str| !matches!(step, "" | "." | "..") && step.len() <= 255;
    let character_is_plain = |c: char| !c.is_control() && c != '\\';
    (1..=PATH_BYTES).contains(&path.len())
        && path.split('/').count() <= PATH_STEPS
        && path.split('/').all(step_is_plain)
        && path.chars().all(character_is_plain)
}

/// Whether a link at `path` to `target` stays below the root. Only leading `..` are taken: after
/// a named step, which may itself be a link, `..` could lead anywhere.
pub(crate) fn link_stays_inside(path: &str, target: &str) -> bool {
    let above = path.split('/').count() - 1;
    let climbs = target.split('/').take_while(|step| *step == "..").count();
    let rest = target.split('/').skip(climbs).collect::<Vec<_>>().join("/");
    climbs <= above && (is_plain_path(&rest) || (rest.is_empty() && climbs > 0))
}
