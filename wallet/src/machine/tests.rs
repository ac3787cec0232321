//! Tables and random histories of the payment machine.

mod histories;
mod support;
mod tables;
