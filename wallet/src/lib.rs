//! The pure wallet: wire types, payment machine, limits.

pub mod wire;
