//! Nostr Wallet Connect (NIP-47), both ways: apps pay through this wallet, within what the operator
//! gave each of them, and this wallet can stand on another one that the operator already has.

mod answer;
pub mod client;
pub mod convert;
pub mod intake;
pub mod keys;
pub mod line;
pub mod manage;
pub mod open;
pub mod places;
pub mod remote;
pub mod seal;
pub mod service;
pub mod uri;
pub mod words;
