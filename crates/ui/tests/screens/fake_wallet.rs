//! A wallet that answers the desk's calls as the executor would, as far as a screen can see.

use domain::{ErrorBody, Msat};
use engine::{
    Renewal, SpendLimits,
    backup::{BackupStatus, Nag, Place, PlaceState, Policy, RehearsalReport},
    channels::{self, Channel, ChannelQuote, ChannelState, Channels, Closing, Onchain},
    view::*,
    wire::{self, method},
};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::fixture::{self, Manner, NOW, key, payment};

pub const LIMITS: SpendLimits = SpendLimits {
    per_payment_msat: Msat::from_sat(10_000),
    per_day_msat: Msat::from_sat(50_000),
    max_fee_msat: Msat::from_sat(200),
};

const NODE: &str = "02a1b2c3d4e5f60718293a4b5c6d7e8f9002a1b2c3d4e5f60718293a4b5c6d7e8f";

pub fn account(id: &str, name: &str, isolated: bool) -> AccountView {
    AccountView {
        account: wire::Account {
            id: AccountId::new(id).unwrap(),
            name: name.into(),
            kind: wire::AccountKind::Agent,
            isolated,
            budget: Some(wire::Budget {
                amount_msat: Msat::from_sat(5_000),
                renews: Renewal::Daily,
            }),
            per_payment_msat: Some(Msat::from_sat(1_000)),
            allow: Vec::new(),
            expires_at: None,
            on_limit: wire::OnLimit::Ask,
            connection: None,
        },
        closed: false,
        balance_msat: isolated.then_some(Msat::from_sat(20_000)),
        spent_msat: Msat::from_sat(3_700),
        left_msat: Some(Msat::from_sat(1_300)),
        created_at: NOW.minus_secs(90_000),
    }
}

/// What waits for the operator: a sub-wallet asks for more than one payment of it may be.
pub fn waiting() -> PaymentView {
    PaymentView {
        key: key("waiting"),
        payee: Some("alice@example.com".into()),
        account: AccountId::new("research").unwrap(),
        waits_for: Some(ErrorBody::refused(
            "over_limit",
            "The payment of 2,500 sat is above the limit of 1,000 sat for one payment. \
             Nothing was sent.",
        )),
        expires_at: Some(NOW.plus_secs(3_600)),
        ..payment("Data set", Direction::Out, PaymentState::AwaitingApproval, 2_500)
    }
}

/// A wallet with every rail, two sub-wallets, and one payment that waits.
pub fn rich() -> engine::View {
    let mut view = fixture::busy();
    view.wallet.receives = vec![Rail::Bolt11, Rail::Bolt12, Rail::Onchain, Rail::Spark];
    view.wallet.accounts =
        vec![account("research", "Research agent", false), account("shop", "Shop", true)];
    view.payments.insert(0, Arc::new(waiting()));
    view
}

pub fn quote(params: &Value) -> Value {
    json!(wire::Quote {
        rail: Rail::Bolt11,
        request: params["request"].as_str().unwrap().to_owned(),
        payment_hash: Some(domain::PaymentHash([7; 32])),
        payee: NODE.into(),
        amount_msat: Msat::from_sat(5_000),
        max_fee_msat: Msat::from_sat(60),
        expires_at: Some(NOW.plus_secs(3_600)),
        memo: "1 cup coffee".into(),
        waits_for: None,
        refused: None,
    })
}

pub fn channel(byte: u8, ours_sat: u32, state: ChannelState) -> Channel {
    Channel {
        id: format!("{byte:02x}").repeat(32),
        peer: NODE.into(),
        alias: Some(format!("Peer {byte}")),
        short_id: Some("118x1x0".into()),
        funding: Some(format!("{}:0", "ab".repeat(32))),
        capacity_msat: Msat::from_sat(1_000_000),
        ours_msat: Msat::from_sat(ours_sat),
        theirs_msat: Msat::from_sat(1_000_000 - ours_sat),
        reserve_msat: Msat::from_sat(10_000),
        can_send_msat: Msat::from_sat(ours_sat.saturating_sub(10_000)),
        can_receive_msat: Msat::from_sat(990_000 - ours_sat),
        state,
        we_opened: true,
        announced: false,
        fee_base_msat: 1_000,
        fee_ppm: 10,
        force_close_blocks: Some(144),
    }
}

fn channels() -> Channels {
    Channels {
        channels: vec![
            channel(1, 620_000, ChannelState::Ready),
            channel(2, 50_000, ChannelState::PeerAway),
            channel(3, 400_000, ChannelState::Opening { confirmations: 1, needed: Some(3) }),
        ],
        closing: vec![Closing {
            channel: None,
            amount_msat: Msat::from_sat(90_000),
            spendable_at_height: Some(262),
            txid: None,
            waits_for: "Spendable after block 262.".into(),
        }],
        onchain: Onchain {
            total_msat: Msat::from_sat(310_000),
            spendable_msat: Msat::from_sat(285_000),
            reserved_msat: Msat::from_sat(25_000),
            pending_msat: Msat::ZERO,
        },
        height: 118,
    }
}

fn connection() -> wire::ConnectionView {
    let mut account = account("nwc-1", "Damus", false);
    account.account.kind = wire::AccountKind::Connection;
    let service = domain::Pubkey([9; 32]);
    wire::ConnectionView { account, service, used_at: Some(NOW.minus_secs(60)) }
}

fn backup() -> BackupStatus {
    BackupStatus {
        backend: "ldk-node".into(),
        places: vec![Place {
            path: "/media/usb/pilothouse".into(),
            policy: Policy::Strict,
            same_disk: true,
            state: PlaceState::Fresh,
            last_write: Some(NOW.minus_secs(5)),
            seq: 12,
            epoch: 2,
            bytes: 48_200,
            writes: 12,
            micros_each: 900,
        }],
        words_written_down: false,
        birthday: None,
        rehearsed: None,
        offline: None,
        nags: vec![Nag::WordsNotWrittenDown, Nag::SameDisk, Nag::NeverRehearsed],
        advice: "The words bring back what is on-chain; channels need the place below.".into(),
        recovery: None,
    }
}

fn rehearsal() -> RehearsalReport {
    RehearsalReport {
        at: NOW,
        place: "/media/usb/pilothouse".into(),
        passed: true,
        seq: 12,
        epoch: 2,
        channels: Vec::new(),
        in_channels_msat: Msat::from_sat(670_000),
        onchain_msat: Msat::from_sat(310_000),
        payments: 41,
        events: 120,
        birthday: None,
        differences: Vec::new(),
    }
}

/// Looks like the secret that it stands for.
pub const URI: &str = "nostr+walletconnect://9999?relay=ws%3A%2F%2F127.0.0.1&secret=c0ffee";

pub fn answer(asked: &str, params: &Value, manner: &Manner) -> Result<Value, ErrorBody> {
    let reads = [
        method::QUOTE,
        method::LIMITS,
        channels::method::CHANNELS,
        method::CONNECTIONS,
        method::BACKUP_STATUS,
    ];
    if let Some(error) = manner.wallet_refusal.clone().filter(|_| !reads.contains(&asked)) {
        return Err(error);
    }
    let limits = |limits| json!(wire::LimitsView { limits, spent_msat: Msat::from_sat(42_000) });
    Ok(match asked {
        method::QUOTE => return manner.quote.clone().unwrap_or_else(|| Ok(quote(params))),
        method::LIMITS => limits(LIMITS),
        method::SET_LIMITS => limits(serde_json::from_value(params["limits"].clone()).unwrap()),
        channels::method::CHANNELS if manner.new => json!(Channels::default()),
        channels::method::CHANNELS => json!(channels()),
        channels::method::QUOTE_CHANNEL => json!(ChannelQuote {
            peer: NODE.into(),
            alias: None,
            amount_msat: serde_json::from_value(params["amount_msat"].clone()).unwrap(),
            fee_msat: Msat::from_sat(310),
            reserve_msat: Msat::from_sat(25_000),
            spendable_msat: Msat::from_sat(285_000),
            refused: None,
        }),
        method::CONNECTIONS => json!(wire::ConnectionList {
            connections: if manner.new { Vec::new() } else { vec![connection()] },
            relays: vec!["ws://127.0.0.1:7447".into()],
            trouble: None,
        }),
        method::BACKUP_STATUS => json!(backup()),
        method::REHEARSE => json!(rehearsal()),
        method::CONNECTION_CREATE => {
            json!({ "connection": connection(), "uri": URI })
        }
        _ => Value::Null,
    })
}
