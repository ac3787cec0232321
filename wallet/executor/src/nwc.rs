//! Nostr Wallet Connect (NIP-47), both ways: apps pay through this wallet, within what the operator
//! gave each of them, and this wallet can stand on another one that the operator already has.

pub mod intake;
pub mod line;
pub mod remote;
pub mod seal;
pub mod uri;
pub mod words;
