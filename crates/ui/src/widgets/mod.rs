//! The shapes of the desk's language: each drawn from the tokens, each with a name for a reader.

pub mod badge;
pub mod button;
pub mod facts;
pub mod field;
pub mod label;
pub mod ladder;
pub mod list;
pub mod meter;
pub mod notice;
pub mod panel;
pub mod picker;
pub mod qr;
pub mod timeline;

pub use badge::dot;
pub use button::{Btn, icon_button};
pub use field::Field;
