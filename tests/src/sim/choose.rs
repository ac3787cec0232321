//! Which thing happens next: weighted, so that whole trades come about and faults strike them.

use super::{
    action::{Action, Asks, Forgery, Hearing, How, Money},
    rng::Rng,
};

/// The actions of one history: a desk that sells, others that may, and then anything.
pub fn history(seed: u64) -> (usize, Vec<Action>) {
    let mut rng = Rng::new(seed);
    let desks = if rng.chance(35) { 3 } else { 2 };
    let mut actions = opening(&mut rng, desks);
    let length = match rng.below(100) {
        0..70 => 15 + rng.below(30),
        70..95 => 45 + rng.below(60),
        _ => 100 + rng.below(150),
    };
    for _ in 0..length {
        let action = next(&mut rng, desks);
        let died = match &action {
            Action::Crash { desk } | Action::Act { desk, how: How::ThenCrash, .. } => Some(*desk),
            _ => None,
        };
        actions.push(action);
        // Most operators notice that their desk no longer sells.
        if let Some(desk) = died.filter(|_| rng.chance(75)) {
            actions.push(Action::Online { desk });
        }
    }
    (desks as usize, actions)
}

fn opening(rng: &mut Rng, desks: u8) -> Vec<Action> {
    let mut actions = Vec::new();
    for desk in (0..desks).filter(|desk| *desk != 1) {
        actions.push(offer(rng, desk));
        actions.push(Action::Policy { desk, open: if rng.chance(80) { 0 } else { 1 } });
        actions.push(Action::Online { desk });
    }
    actions.push(submit(rng, desks));
    if rng.chance(OWING) {
        owe(rng, &mut actions);
    }
    actions
}

/// Of a hundred histories, those that begin with a paid job that failed.
const OWING: u32 = 6;

/// A trade whose work fails once it is paid: its money must go back, under whatever comes then.
fn owe(rng: &mut Rng, actions: &mut Vec<Action>) {
    let price_msat = rng.pick(&[700, 1_000, 2_500]);
    let order = Action::Submit {
        desk: 1,
        to: Some(0),
        bid_msat: 3_000,
        fee_msat: 200,
        key: 7_000,
        timeout_secs: 3_600,
    };
    actions.extend([
        Action::Offer { desk: 0, price_msat, after: false },
        Action::Broken { desk: 0, broken: true },
        order,
        Action::Calm,
        Action::Broken { desk: 0, broken: false },
    ]);
    if rng.chance(80) {
        actions.push(Action::Refund { desk: 0, nth: 0, asks: asks(rng) });
        actions.push(Action::Act { desk: 0, nth: byte(rng), how: how(rng) });
        actions.push(Action::Money { nth: 0, how: money(rng) });
    }
}

fn offer(rng: &mut Rng, desk: u8) -> Action {
    let price_msat = rng.pick(&[0, 700, 700, 1_000, 2_500, 9_000]);
    Action::Offer { desk, price_msat, after: rng.chance(40) }
}

fn submit(rng: &mut Rng, desks: u8) -> Action {
    Action::Submit {
        desk: if rng.chance(85) { 1 } else { of(rng, desks) },
        to: rng.chance(60).then(|| if rng.chance(80) { 0 } else { of(rng, desks) }),
        bid_msat: rng.pick(&[0, 1_000, 3_000, 3_000, 10_000]),
        fee_msat: rng.pick(&[0, 50, 50, 200]),
        // Sometimes an order is given again.
        key: if rng.chance(10) { 1 } else { rng.below(1_000) },
        timeout_secs: rng.pick(&[60, 600, 1_800, 3_600]),
    }
}

fn of(rng: &mut Rng, desks: u8) -> u8 {
    u8::try_from(rng.below(desks.into())).unwrap_or(0)
}

fn byte(rng: &mut Rng) -> u8 {
    u8::try_from(rng.below(256)).unwrap_or(0)
}

fn next(rng: &mut Rng, desks: u8) -> Action {
    let desk = of(rng, desks);
    let nth = byte(rng);
    match rng.below(1_000) {
        0..400 => Action::Act { desk, nth, how: how(rng) },
        400..600 => Action::Hear { desk, nth, how: hearing(rng) },
        600..710 => Action::Money { nth, how: money(rng) },
        710..820 => Action::Notices { desk, count: 1 + nth % 6 },
        820..845 => submit(rng, desks),
        845..850 => Action::Calm,
        850..885 => Action::Later { secs: rng.pick(&[1, 5, 30, 120, 600, 1_000, 2_000]) },
        885..920 => Action::Crash { desk },
        920..930 => Action::NoticeAgain { desk, nth },
        930..940 => Action::Forge { nth, what: forgery(rng) },
        _ => by_operator(rng, desk, nth),
    }
}

fn by_operator(rng: &mut Rng, desk: u8, nth: u8) -> Action {
    match rng.below(21) {
        0..4 => Action::Online { desk },
        4 => Action::Offline { desk },
        5 => offer(rng, desk),
        6 => match rng.chance(30) {
            true => Action::OfferRemove { desk },
            false => Action::Policy { desk, open: nth % 3 },
        },
        7 => Action::Answer { desk, nth, accept: rng.chance(70) },
        8 => Action::Cancel { desk, nth, sold: rng.chance(50) },
        9 => Action::Receive { desk, key: rng.below(5), amount_msat: 1 + rng.below(5_000) },
        10 => Action::Pay { desk, key: rng.below(5), nth },
        11..15 => Action::Refund { desk, nth, asks: asks(rng) },
        15 => Action::HandBack { desk, nth },
        16 => Action::RelayLink { desk, up: rng.chance(70) },
        17 | 18 => Action::Letter { desk, nth, again: rng.chance(80) },
        19 => Action::WalletLink { desk, up: rng.chance(70) },
        _ => Action::Skew { desk, secs: rng.below(120) },
    }
}

fn asks(rng: &mut Rng) -> Asks {
    match rng.below(100) {
        0..60 => Asks::All,
        60..75 => Asks::Less,
        75..85 => Asks::More,
        _ => Asks::Known,
    }
}

fn how(rng: &mut Rng) -> How {
    match rng.below(100) {
        0..88 => How::Well,
        88..93 => How::Badly,
        _ => How::ThenCrash,
    }
}

fn hearing(rng: &mut Rng) -> Hearing {
    match rng.below(100) {
        0..82 => Hearing::Next,
        82..94 => Hearing::Again,
        _ => Hearing::Lost,
    }
}

fn money(rng: &mut Rng) -> Money {
    match rng.below(100) {
        0..45 => Money::Settle { fee_msat: byte(rng) % 100 },
        45..65 => Money::Claim,
        65..85 => Money::Lose,
        _ => Money::Fail,
    }
}

fn forgery(rng: &mut Rng) -> Forgery {
    match rng.below(4) {
        0 => Forgery::Invoice { amount_msat: u16::try_from(1 + rng.below(4_000)).unwrap_or(1) },
        1 => Forgery::Result,
        2 => Forgery::Error,
        _ => Forgery::Deletion,
    }
}
