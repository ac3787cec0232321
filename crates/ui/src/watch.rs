//! While developing: the token file is read again when it changes on disk.

use egui::Context;
use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use crate::tokens::Tokens;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/tokens.toml");
/// The file is looked at this often, and only on frames that are drawn anyway.
const EVERY: Duration = Duration::from_millis(500);

#[derive(Default)]
pub struct Watch {
    looked: Option<Instant>,
    seen: Option<SystemTime>,
}

impl Watch {
    /// The tokens, where the file has changed since the last look and reads.
    pub fn changed(&mut self, ctx: &Context) -> Option<Tokens> {
        if self.looked.is_some_and(|at| at.elapsed() < EVERY) {
            return None;
        }
        self.looked = Some(Instant::now());
        let path = PathBuf::from(PATH);
        let modified = std::fs::metadata(&path).and_then(|meta| meta.modified()).ok()?;
        let before = self.seen.replace(modified);
        if before.is_none_or(|before| before == modified) {
            return None;
        }
        let text = std::fs::read_to_string(&path).ok()?;
        match Tokens::parse(&text) {
            Ok(tokens) => Some(tokens),
            Err(error) => {
                ctx.debug_text(error.to_string());
                None
            }
        }
    }
}
