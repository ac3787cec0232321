//! Who may have the seed and what only the operator may do: the vault is opened here, kept sealed
//! where nobody gave its passphrase, and guarded afterwards.

mod guard;
mod open;
mod sealed;
pub(crate) mod secret;
mod tries;

pub use guard::Guard;
pub use open::{CREDENTIAL, Opened, asked_to_end, open};
