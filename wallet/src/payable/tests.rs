//! Every form that can be paid to: tables, the specs' own vectors, and properties.

mod forms;
mod links;
mod offers;
mod properties;
mod spark;
pub(super) mod support;
mod vectors;
