//! The pure heart: commands and facts in, events and effects out; views are folds.

pub mod command;
pub mod port;
pub mod view;

pub use command::{Command, Reply};
pub use port::DeskPort;
pub use view::{Answer, Query, View};
