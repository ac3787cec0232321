//! What the executor's tests share; no test uses all of it.
#![allow(dead_code)]

pub mod cashu;
pub mod contract;
pub mod fake;
pub mod mint;
pub mod practice;
