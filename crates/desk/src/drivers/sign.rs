//! Signing: events and receipts, by the vault's key, the same bytes each time.

use domain::{ErrorBody, Pubkey};
use engine::{Effect, Fact, Input};
use host::Pending;
use nip90::{
    buyer::{BuyerEffect, BuyerInput},
    codec::Template,
    provider::{ProviderEffect, ProviderInput},
};
use nostr::event::{Event, EventBuilder, FinalizeUnsignedEvent, Signature, UnsignedEvent};
use relay::SignFault;
use std::sync::Arc;
use tokio::task::JoinSet;
use vault::Vault;

use super::{effects, give_up, not_ours, ordered};
use crate::process::Inner;

const AT_ONCE: usize = 64;

pub fn spawn(desk: &Arc<Inner>, tasks: &mut JoinSet<()>) -> Result<(), ErrorBody> {
    let effects = effects(desk, "sign")?;
    let desk = Arc::clone(desk);
    tasks.spawn(ordered::run(effects, AT_ONCE, move |pending| receipt(Arc::clone(&desk), pending)));
    Ok(())
}

async fn receipt(desk: Arc<Inner>, pending: Pending<Effect>) {
    let (receipt, seller) = match &pending.effect {
        Effect::Provider(ProviderEffect::SignReceipt { receipt, request_id }) => {
            (receipt.clone(), Some(*request_id))
        }
        Effect::Buyer(BuyerEffect::SignReceipt { receipt, .. }) => (receipt.clone(), None),
        _ => return not_ours(&desk, pending).await,
    };
    let signed = match desk.vault.sign_receipt(receipt) {
        Ok(signed) => signed,
        Err(error) => {
            let why = format!("the receipt could not be signed: {error}");
            return give_up(&desk, pending.id, pending.effect, 1, why).await;
        }
    };
    let fact = match (seller, signed.request_id) {
        (Some(request_id), _) => {
            Fact::Provider(ProviderInput::ReceiptSigned { request_id, receipt: signed })
        }
        (None, Some(request_id)) => {
            Fact::Buyer(BuyerInput::ReceiptSigned { request_id, receipt: signed })
        }
        (None, None) => return,
    };
    // Nobody waits for a receipt.
    let signed = Input::of_effect(pending.id, fact).patient();
    let _stopping = desk.core.deliver(signed).await;
}

/// The template as an event of ours. The same template gives the same event, to the byte.
pub fn sign_template(vault: &Vault, template: &Template) -> Result<Event, ErrorBody> {
    let unsigned = template
        .unsigned(vault.pubkey())
        .map_err(|error| ErrorBody::new("not_built", error.to_string()))?;
    Ok(sign(vault, unsigned))
}

/// A draft of a library (NIP-42, BUD-02) as an event of ours.
pub fn sign_draft(vault: &Vault, draft: EventBuilder) -> Result<Event, SignFault> {
    Ok(sign(vault, draft.finalize_unsigned(public_key(vault.pubkey()))))
}

/// Signs an event that names `vault`'s key as its author.
fn sign(vault: &Vault, unsigned: UnsignedEvent) -> Event {
    let id = unsigned.compute_id();
    let signature = Signature::from_byte_array(vault.sign_digest(&id.to_bytes()));
    Event::new(
        id,
        unsigned.pubkey,
        unsigned.created_at,
        unsigned.kind,
        unsigned.tags,
        unsigned.content,
        signature,
    )
}

/// The key as the `nostr` crate writes it.
pub fn public_key(pubkey: Pubkey) -> nostr::key::PublicKey {
    nostr::key::PublicKey::from_byte_array(pubkey.0)
}
