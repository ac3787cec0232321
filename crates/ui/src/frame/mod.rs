//! What stands around every screen: rail, top bar, status line, inspector, key list, toasts.

pub mod inspector;
pub mod keys;
pub mod payment;
pub mod rail;
pub mod result;
pub mod status;
pub mod toast;
pub mod top;
