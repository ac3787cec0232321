//! The desk: screens over the desk's view. View data in, commands out; nothing here waits.

pub mod actions;
mod app;
pub mod bench;
mod calls;
pub mod chooser;
mod clock;
mod courier;
mod deeds;
pub mod export;
mod frame;
mod graphics;
#[cfg(feature = "headless")]
pub mod headless;
mod icons;
mod kept;
mod look;
mod memory;
mod pages;
mod palette;
pub mod present;
mod run;
mod scan;
mod scene;
mod screens;
mod shortcuts;
mod state;
pub mod tokens;
mod wake;
mod wallet_acts;
mod wallet_state;
#[cfg(debug_assertions)]
mod watch;
mod widgets;
mod window;

pub use actions::Subject;
pub use app::DeskApp;
pub use clock::{Clock, duration};
pub use state::{MarketTab, Screen, WalletTab};
pub use window::{WindowOptions, run_window};
