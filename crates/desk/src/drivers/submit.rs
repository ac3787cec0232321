//! From a command to the engine's input: what needs entropy gets it here.

use domain::ErrorBody;
use engine::{Command, Input};

/// Completes a command of the operator.
pub fn complete(command: Command) -> Result<Input, ErrorBody> {
    match command {
        Command::JobSubmit(draft) => Ok(Input::Submit { draft, salt: salt()? }),
        command => Ok(Input::Command(command)),
    }
}

/// A fresh salt for a body.
pub fn salt() -> Result<[u8; 32], ErrorBody> {
    host::entropy::salt().map_err(|error| ErrorBody::new("no_entropy", error.to_string()))
}
