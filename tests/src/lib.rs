//! Scenarios: whole desks, as simulated machines and as the real programs.

pub mod crash;
pub mod desk;
pub mod programs;
pub mod screen;
pub mod sim;
pub mod usage;
