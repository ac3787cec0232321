//! `pilothouse-wallet`: starts the executor.

fn main() {}
