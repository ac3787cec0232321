//! Tables and random histories of the payment machine.

mod accounts;
mod histories;
mod retries;
mod support;
mod tables;
