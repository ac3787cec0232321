//! The loop: nothing acts before its commit, nothing is lost by a restart, full queues never lock.
#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use domain::{
    Delivery, EffectId, Emit, Machine, Recorded, RepeatClass, Step, StreamId, Timestamp,
    machine::Effect,
};
use host::{Core, CoreOptions, core::AskError};
use serde::{Deserialize, Serialize};
use std::{path::Path, time::Duration};
use store::{OpenOptions, Store};

/// Counts orders; each order asks the world for one parcel, and an arrived parcel is counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Shop {
    ordered: u64,
    arrived: u64,
}

#[derive(Debug)]
enum Input {
    Order(String),
    Arrived(String),
    /// Nothing is made of it.
    Heard,
    /// An order and a count that no event can carry where it is 2^53 or more.
    Bulk(u64),
}

domain::events! {
    pub enum ShopEvent {
        "shop.ordered" 1 => Ordered(Ordered);
        "shop.arrived" 1 => Arrived(Arrived);
        "shop.bulk" 1 => Bulk(Bulk);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ordered {
    what: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arrived {
    what: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bulk {
    count: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Parcel {
    what: String,
}

impl Effect for Parcel {
    fn repeat_class(&self) -> RepeatClass {
        RepeatClass::Repeat
    }
    fn adapter(&self) -> &'static str {
        "post"
    }
}

impl Machine for Shop {
    type Input = Input;
    type Event = ShopEvent;
    type Effect = Parcel;
    type Reply = u64;

    fn decide(&self, input: &Input, _now: Timestamp) -> Step<Self> {
        match input {
            Input::Order(what) => Step::nothing()
                .emit(
                    Emit::new(StreamId::of("order", what), Ordered { what: what.clone() })
                        .effect(Parcel { what: what.clone() }),
                )
                .answer(self.ordered + 1),
            Input::Arrived(what) => Step::nothing()
                .emit(Emit::new(StreamId::of("order", what), Arrived { what: what.clone() })),
            Input::Heard => Step::nothing(),
            // The first event could be recorded, the second follows it in the same stream.
            Input::Bulk(count) => {
                let stream = StreamId::named("bulk");
                let what = format!("bulk {count}");
                Step::nothing()
                    .emit(
                        Emit::new(stream.clone(), Ordered { what: what.clone() })
                            .effect(Parcel { what }),
                    )
                    .emit(Emit::new(stream, Bulk { count: *count }))
                    .answer(*count)
            }
        }
    }

    fn apply(&mut self, event: &Recorded<ShopEvent>) {
        match event.data {
            ShopEvent::Ordered(_) => self.ordered += 1,
            ShopEvent::Arrived(_) => self.arrived += 1,
            ShopEvent::Bulk(ref bulk) => self.ordered += bulk.count,
            ShopEvent::Unknown(_) => {}
        }
    }
}

fn open(dir: &Path) -> Store {
    Store::open(&dir.join("log.db"), OpenOptions { body_key: [7; 32] }).unwrap()
}

fn spawn(dir: &Path) -> Core<Shop, Shop> {
    let options = CoreOptions {
        store: open(dir),
        snapshot_schema: "shop-1",
        view: Box::new(|shop: &Shop, _, _| shop.clone()),
        project: |_, _| Vec::new(),
        signer: None,
    };
    Core::spawn(options, &["post"]).unwrap()
}

async fn until(core: &Core<Shop, Shop>, wanted: Shop) {
    let mut views = core.view();
    let seen = tokio::time::timeout(Duration::from_secs(20), views.wait_for(|v| **v == wanted));
    seen.await.expect("the view within 20 s").unwrap();
}

#[tokio::test]
async fn an_effect_comes_after_its_commit_and_leaves_on_its_fact() {
    let dir = tempfile::tempdir().unwrap();
    let core = spawn(dir.path());
    let mut post = core.effects("post").unwrap();
    assert_eq!(core.ask(Input::Order("tea".into())).await.unwrap(), Some(1));
    let parcel = post.next().await.unwrap();
    assert!(!parcel.resumed);
    assert_eq!(open_reader(dir.path()), 1, "committed before it was handed out");
    let arrived = Delivery::of_effect(parcel.id.clone(), Input::Arrived("tea".into()));
    core.deliver(arrived).await.unwrap();
    until(&core, Shop { ordered: 1, arrived: 1 }).await;
    core.shutdown().await;
    let store = open(dir.path());
    assert!(store.outbox_pending().unwrap().is_empty());
}

#[tokio::test]
async fn an_effect_whose_fact_leads_to_nothing_leaves_soon_too() {
    let dir = tempfile::tempdir().unwrap();
    let core = spawn(dir.path());
    let mut post = core.effects("post").unwrap();
    core.ask(Input::Order("tea".into())).await.unwrap();
    let parcel = post.next().await.unwrap();
    core.deliver(Delivery::of_effect(parcel.id, Input::Heard)).await.unwrap();
    let left = async {
        let reader = store::Reader::open(&dir.path().join("log.db"), None).unwrap();
        while !reader.event(1).unwrap().unwrap().pending.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), left).await.expect("it left without more input");
    core.shutdown().await;
}

#[tokio::test]
async fn the_view_changes_while_the_inbox_is_never_empty() {
    let dir = tempfile::tempdir().unwrap();
    let core = spawn(dir.path());
    core.ask(Input::Order("tea".into())).await.unwrap();
    let busy = async {
        loop {
            core.deliver(Delivery::new(Input::Heard)).await.unwrap();
        }
    };
    tokio::select! {
        () = busy => {}
        () = until(&core, Shop { ordered: 1, arrived: 0 }) => {}
    }
    core.shutdown().await;
}

#[tokio::test]
async fn who_asked_finds_in_the_view_what_came_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let core = spawn(dir.path());
    for ordered in 1..=20 {
        core.ask(Input::Order(format!("o{ordered}"))).await.unwrap();
        assert_eq!(core.view().borrow().ordered, ordered);
    }
    core.shutdown().await;
}

fn open_reader(dir: &Path) -> u64 {
    store::Reader::open(&dir.join("log.db"), None).unwrap().last_position().unwrap()
}

#[tokio::test]
async fn a_restart_brings_back_the_state_and_the_unfinished_effects() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected: Vec<EffectId> = Vec::new();
    {
        let core = spawn(dir.path());
        let mut post = core.effects("post").unwrap();
        for n in 0..10 {
            core.ask(Input::Order(format!("o{n}"))).await.unwrap();
            let parcel = post.next().await.unwrap();
            if n % 2 == 0 {
                let arrived = Delivery::of_effect(parcel.id, Input::Arrived(format!("o{n}")));
                core.deliver(arrived).await.unwrap();
            } else {
                expected.push(parcel.id);
            }
        }
        core.shutdown().await;
    }
    let core = spawn(dir.path());
    let mut post = core.effects("post").unwrap();
    for id in expected {
        let parcel = post.next().await.unwrap();
        assert_eq!(parcel.id, id);
        assert!(parcel.resumed, "its outcome is not known");
    }
    assert_eq!(**core.view().borrow(), Shop { ordered: 10, arrived: 5 });
    core.shutdown().await;
}

#[tokio::test]
async fn an_adapter_that_takes_nothing_stops_the_door_and_not_the_loop() {
    let dir = tempfile::tempdir().unwrap();
    let core = spawn(dir.path());
    let flood = tokio::spawn({
        let core = core.clone();
        async move {
            for n in 0..20_000_u32 {
                core.admit(Input::Order(format!("o{n}"))).await.unwrap();
            }
        }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!flood.is_finished(), "demand waits at the door");
    let answer =
        tokio::time::timeout(Duration::from_secs(20), core.ask(Input::Order("command".into())));
    assert!(answer.await.expect("commands still pass").unwrap().is_some());
    let mut post = core.effects("post").unwrap();
    let mut taken = 0;
    while taken < 20_001 {
        let parcel = post.next().await.unwrap();
        let what = parcel.effect.what;
        core.deliver(Delivery::of_effect(parcel.id, Input::Arrived(what))).await.unwrap();
        taken += 1;
    }
    flood.await.unwrap();
    until(&core, Shop { ordered: 20_001, arrived: 20_001 }).await;
    core.shutdown().await;
}

const BEYOND: u64 = 1 << 53;

#[tokio::test]
async fn what_no_event_can_carry_ends_its_own_input_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let core = spawn(dir.path());
    let mut post = core.effects("post").unwrap();
    core.ask(Input::Order("tea".into())).await.unwrap();
    let tea = post.next().await.unwrap();
    // One batch: a good input, a fact and a command that cannot be recorded, and a good input.
    let bad_fact = Delivery::of_effect(tea.id.clone(), Input::Bulk(BEYOND));
    let (_, _, refused, after) = tokio::join!(
        core.ask(Input::Order("before".into())),
        core.deliver(bad_fact),
        core.ask(Input::Bulk(BEYOND)),
        core.ask(Input::Order("after".into())),
    );
    let refused = refused.unwrap_err();
    assert!(
        matches!(&refused, AskError::NotRecorded(why) if why.code == "not_recorded"
            && why.message.contains("shop.bulk")),
        "{refused:?}"
    );
    assert_eq!(after.unwrap(), Some(3), "the ones beside it went on");
    // The stream goes on where it was: neither of the dropped step's events is in it.
    assert_eq!(core.ask(Input::Bulk(5)).await.unwrap(), Some(5));
    until(&core, Shop { ordered: 9, arrived: 0 }).await;
    assert!(core.failure().borrow().is_none());
    for expected in ["before", "after", "bulk 5"] {
        assert_eq!(post.next().await.unwrap().effect.what, expected);
    }
    core.shutdown().await;
    let store = open(dir.path());
    assert_eq!(store.last_position(), 5);
    let waiting: Vec<_> = store.outbox_pending().unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(waiting.first(), Some(&tea.id), "its outcome is not known: it is asked again");
    drop(store);
    let core = spawn(dir.path());
    assert_eq!(**core.view().borrow(), Shop { ordered: 9, arrived: 0 }, "memory was as the log");
    let again = core.effects("post").unwrap().next().await.unwrap();
    assert!(again.resumed && again.id == tea.id);
    core.shutdown().await;
}
