//! Persist, then send, for a whole ldk-node: what a killed node has on disk is always one moment.
//!
//! LDK writes a channel's new state, then its channel manager, each for itself, and sends messages
//! in between. Killed between the two, it finds the manager behind at its next start and
//! force-closes the channel. Here all writes are kept in memory until the manager's write closes
//! the moment, then go to disk in one transaction ([`DurableStore`]); and every byte to a peer or
//! to the chain waits until the writes before it are there ([`Gate`], [`Relay`], [`Ways`]). So whatever the
//! world has heard is on disk, and what is not on disk nobody has heard. The same holds for a
//! second disk that the operator chose, where there is one ([`copy`]).

pub mod copy;
mod gate;
mod relay;
mod table;
mod ways;

pub use gate::{Gate, NotWritten};
pub use relay::{Held, Relay};
pub use table::{DurableStore, FILE_NAME, Local, OpenError, lay_down};
pub use ways::Ways;
