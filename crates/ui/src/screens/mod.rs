//! The screens: one per noun of the command line. View data in, acts out.

pub mod activity;
pub mod desk;
pub mod market;
pub mod wallet;
