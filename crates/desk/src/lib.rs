//! The desk process: joins effects to adapters, answers the control socket and the command line.

mod bench;
pub mod cli;
mod condition;
mod control;
mod drivers;
mod identity;
mod port;
mod practice;
mod process;
mod services;
mod status;
mod storage;
mod submit;

pub use cli::{Shell, run};
pub use engine::DeskPort;
