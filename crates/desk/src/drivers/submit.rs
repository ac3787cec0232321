//! From a command to the engine's input: what needs entropy gets it here.

use domain::ErrorBody;
use engine::{Command, Input};

/// Completes a command of the operator.
pub fn complete(command: Command) -> Result<Input, ErrorBody> {
    match command {
        Command::JobSubmit(draft) => Ok(Input::Submit { draft, salt: salt()? }),
        Command::RelayAdd { url } => {
            Ok(Input::Command(Command::RelayAdd { url: relay_name(&url)? }))
        }
        Command::RelayRemove { url } => {
            Ok(Input::Command(Command::RelayRemove { url: relay_name(&url)? }))
        }
        command => Ok(Input::Command(command)),
    }
}

/// The one name of a relay, however it was typed: what the relay client reports carries it.
fn relay_name(url: &str) -> Result<String, ErrorBody> {
    relay::normal_name(url).map_err(|error| {
        ErrorBody::refused("bad_relay", format!("{error}. Nothing was changed."))
            .hint("Example: wss://relay.example.org")
    })
}

/// A fresh salt for a body.
pub fn salt() -> Result<[u8; 32], ErrorBody> {
    host::entropy::salt().map_err(|error| ErrorBody::new("no_entropy", error.to_string()))
}
