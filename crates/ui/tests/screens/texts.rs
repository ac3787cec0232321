//! View data as text: what each screen says, kept in files. `UPDATE_TEXTS=1` writes them anew.

use std::path::PathBuf;
use ui::{
    Clock,
    present::{
        desk::DeskData,
        frame::FrameData,
        job::{JobDetail, JobLists},
        wallet::WalletData,
    },
};

use crate::fixture;

#[track_caller]
fn keeps(name: &str, value: &impl serde::Serialize) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/texts").join(name);
    let now = serde_json::to_string_pretty(value).unwrap() + "\n";
    if std::env::var_os("UPDATE_TEXTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == now, "{name} has changed; look at it with UPDATE_TEXTS=1 and git diff");
}

fn clock() -> Clock {
    Clock::fixed(fixture::NOW)
}

#[test]
fn a_busy_desk() {
    let view = fixture::busy();
    keeps("busy_desk.json", &DeskData::of(&view, &clock()));
    keeps("busy_frame.json", &FrameData::of(&view, &clock()));
    keeps("busy_market.json", &JobLists::of(&view, &clock()));
    keeps("busy_wallet.json", &WalletData::of(&view, &clock()));
    keeps("paid_job.json", &JobDetail::of(&view.jobs[7], &clock()));
}

#[test]
fn a_troubled_desk() {
    let view = fixture::troubled();
    keeps("troubled_desk.json", &DeskData::of(&view, &clock()));
    keeps("troubled_frame.json", &FrameData::of(&view, &clock()));
    keeps("troubled_wallet.json", &WalletData::of(&view, &clock()));
}

#[test]
fn an_empty_desk() {
    let view = fixture::empty();
    keeps("empty_desk.json", &DeskData::of(&view, &clock()));
    keeps("empty_frame.json", &FrameData::of(&view, &clock()));
    keeps("empty_wallet.json", &WalletData::of(&view, &clock()));
}
