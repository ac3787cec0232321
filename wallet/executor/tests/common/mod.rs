//! What the executor's tests share; no test uses all of it.
#![allow(dead_code)]

pub mod contract;
pub mod fake;
pub mod practice;
