//! A second home for the node's state: a folder that has each moment before anyone hears of it.

mod carrier;
mod disk;
mod folder;
mod mirror;
mod record;
mod segment;

pub use carrier::CarryError;
pub(crate) use carrier::{Carrier, Home, goes_along};
pub use disk::{same_disk, sync_dir};
pub use folder::{Contents, Folder, FolderError, Owner};
pub use mirror::{Beside, Kept, Mirror, MirrorStatus, Pin, Place, Standing};
pub use record::{Begin, Body, Policy};
pub use segment::{CopyKey, Damage};

/// The namespace of what a node's folder knows of itself and no copy has.
pub(crate) const LOCAL: &str = "pilothouse";
