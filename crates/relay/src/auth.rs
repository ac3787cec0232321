//! NIP-42: answering a relay's challenge as the operator's identity.

use domain::Timestamp;
use nostr::event::{Event, EventId, IntoEventBuilder, Kind};
use nostr::nips::nip42::ClientAuthentication;
use nostr::types::RelayUrl;
use std::{future::pending, sync::Arc, time::Duration};

use crate::{
    flight::AuthStanding,
    port::{BoxFuture, SignFault, Signer},
};

/// The authentication of one connection.
pub(crate) struct Auth {
    signer: Option<Arc<dyn Signer>>,
    standing: AuthStanding,
    signing: Option<BoxFuture<'static, Result<Event, SignFault>>>,
    sent: Option<EventId>,
    answered: u32,
}

impl Auth {
    /// A relay that keeps asking would make a remote signer keep prompting.
    const MOST_ANSWERS: u32 = 4;
    const LONGEST_CHALLENGE: usize = 1024;
    const SIGNING_TIMEOUT: Duration = Duration::from_secs(30);

    pub fn new(signer: Option<Arc<dyn Signer>>) -> Self {
        let standing = match signer {
            Some(_) => AuthStanding::Open,
            None => AuthStanding::Impossible,
        };
        Self { signer, standing, signing: None, sent: None, answered: 0 }
    }

    pub fn standing(&self) -> &AuthStanding {
        &self.standing
    }

    /// The relay asks. Its words go into nothing but the `challenge` tag.
    pub fn on_challenge(&mut self, challenge: &str, relay: &RelayUrl, now: Timestamp) {
        let Some(signer) = self.signer.clone() else { return };
        let is_usable = (1..=Self::LONGEST_CHALLENGE).contains(&challenge.len());
        if !is_usable || self.answered >= Self::MOST_ANSWERS {
            return;
        }
        self.answered += 1;
        let draft = ClientAuthentication::new(challenge, relay.clone())
            .into_event_builder()
            .custom_created_at(now.as_secs().into());
        self.signing = Some(Box::pin(async move {
            match tokio::time::timeout(Self::SIGNING_TIMEOUT, signer.sign(draft)).await {
                Ok(signed) => signed,
                Err(_) => Err(SignFault("the signer did not answer in time".to_owned())),
            }
        }));
    }

    pub fn is_signing(&self) -> bool {
        self.signing.is_some()
    }

    /// Waits for the signer; for ever where nothing is being signed.
    pub async fn signed(&mut self) -> Result<Event, SignFault> {
        match &mut self.signing {
            Some(signing) => {
                let signed = signing.await;
                self.signing = None;
                signed
            }
            None => pending().await,
        }
    }

    /// The event to send, or why there is none.
    pub fn on_signed(&mut self, signed: Result<Event, SignFault>) -> Result<Event, String> {
        let why = match signed {
            Ok(event) if event.kind == Kind::Authentication => {
                self.sent = Some(event.id);
                return Ok(event);
            }
            Ok(_) => "the signer signed something else".to_owned(),
            Err(fault) => fault.to_string(),
        };
        self.standing = AuthStanding::Failed(why.clone());
        Err(why)
    }

    /// Takes the relay's `OK` for our answer; `None` where it is about another event.
    pub fn on_ok(&mut self, id: &EventId, accepted: bool, message: &str) -> Option<bool> {
        if self.sent != Some(*id) {
            return None;
        }
        self.sent = None;
        self.standing = if accepted {
            AuthStanding::Done
        } else {
            AuthStanding::Failed(format!("refused ours: {}", crate::fact::shown(message)))
        };
        Some(accepted)
    }
}
