//! The notices of the Spark process as facts, each again until it is acknowledged.

use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::sync::Mutex;
use wallet::Fact;

use super::{
    convert::{self, Notice},
    link::{CallError, Link},
};

const WAIT_MS: u32 = 20_000;
const WITHIN: Duration = Duration::from_secs(30);
const AFTER_TROUBLE: Duration = Duration::from_millis(300);

/// Where the reading stands.
#[derive(Default)]
struct Place {
    /// The cursor of the last notice that is done with; at first only the process knows it.
    after: Option<u64>,
    open: Option<(u64, Fact)>,
}

/// The facts of one process.
pub struct Feed {
    link: Arc<Link>,
    place: Mutex<Place>,
}

impl Feed {
    pub fn new(link: Arc<Link>) -> Self {
        Self { link, place: Mutex::default() }
    }

    /// The oldest fact that is not acknowledged.
    pub async fn next(&self) -> Fact {
        loop {
            let mut place = self.place.lock().await;
            if let Some((_, fact)) = &place.open {
                return fact.clone();
            }
            match self.read(place.after).await {
                Ok(notices) => take(&mut place, notices),
                Err(CallError::Said(error)) if error.code == "unknown_cursor" => {
                    tracing::warn!("the journal of Spark is another one; it is read anew");
                    place.after = Some(0);
                }
                Err(error) => {
                    drop(place);
                    tracing::debug!(?error, "no notices of Spark now");
                    tokio::time::sleep(AFTER_TROUBLE).await;
                }
            }
        }
    }

    async fn read(&self, after: Option<u64>) -> Result<Vec<Notice>, CallError> {
        let asked = json!({ "after": after, "wait_ms": WAIT_MS });
        self.link.call("events", &asked, WITHIN).await
    }

    /// The fact that [`Feed::next`] gave is committed. The process remembers the place.
    pub async fn acknowledge(&self) -> Result<(), CallError> {
        let mut place = self.place.lock().await;
        let Some((cursor, _)) = place.open else { return Ok(()) };
        let asked = json!({ "cursor": cursor });
        let _kept: bool = self.link.call("acknowledge", &asked, WITHIN).await?;
        *place = Place { after: Some(cursor), open: None };
        Ok(())
    }
}

/// Up to the first notice that is a fact; those after it are read again.
fn take(place: &mut Place, notices: Vec<Notice>) {
    for notice in notices {
        let cursor = notice.cursor;
        if let Some(fact) = convert::fact(notice) {
            place.open = Some((cursor, fact));
            return;
        }
        place.after = Some(cursor);
    }
}
