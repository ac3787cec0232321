//! Tests of what is in flight.

use super::*;
use tokio::time::advance;

const GRACE: Duration = Duration::from_secs(2);
const WAIT: Duration = Duration::from_secs(1);
const OPEN: AuthStanding = AuthStanding::Open;

fn id(n: u8) -> EventId {
    EventId::from_byte_array([n; 32])
}

struct Case {
    flight: Flight,
}

impl Case {
    fn new() -> Self {
        Self { flight: Flight::new(GRACE, WAIT) }
    }

    fn add(&mut self, n: u8, secs: u64) -> oneshot::Receiver<Answer> {
        let (done, answer) = oneshot::channel();
        let deadline = Instant::now() + Duration::from_secs(secs);
        self.flight.add(Publish { id: id(n), frame: format!("frame {n}").into(), deadline, done });
        answer
    }

    fn sent(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.flight.next_frame(None)).map(|f| f.as_str().into()).collect()
    }

    async fn pass(&mut self, secs: f64) {
        advance(Duration::from_secs_f64(secs)).await;
        self.flight.on_time(Instant::now(), None);
    }
}

fn answer(receiver: &mut oneshot::Receiver<Answer>) -> Option<Answer> {
    receiver.try_recv().ok()
}

#[tokio::test(start_paused = true)]
async fn sends_once_and_takes_the_answer() {
    let mut case = Case::new();
    let (mut one, mut two, mut again) = (case.add(1, 10), case.add(2, 10), case.add(1, 10));
    assert_eq!(case.sent(), ["frame 1", "frame 2"]);
    case.flight.on_ok(&id(1), true, "", &OPEN);
    case.flight.on_ok(&id(1), false, "late", &OPEN);
    case.flight.on_ok(&id(2), false, "duplicate: have it", &OPEN);
    assert_eq!(answer(&mut one), Some(Ok(String::new())));
    assert_eq!(answer(&mut again), Some(Ok(String::new())));
    assert_eq!(answer(&mut two), Some(Ok("duplicate: have it".into())));
    assert_eq!(case.flight.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn ends_on_time_with_the_reason() {
    let mut case = Case::new();
    let (mut silent, mut queued) = (case.add(1, 10), case.add(2, 5));
    let _ = case.flight.next_frame(None);
    case.pass(5.0).await;
    let not_connected = Refusal::NotConnected { detail: None };
    assert_eq!(answer(&mut queued), Some(Err(not_connected)));
    case.pass(4.9).await;
    assert_eq!(answer(&mut silent), None);
    case.pass(0.1).await;
    assert_eq!(answer(&mut silent), Some(Err(Refusal::TimedOut { detail: None })));
    assert_eq!(case.flight.next_wake(), None);
}

#[tokio::test(start_paused = true)]
async fn a_bare_notice_ends_the_only_one_soon_and_explains_the_others() {
    let mut case = Case::new();
    let mut only = case.add(1, 60);
    case.sent();
    case.flight.on_notice("message too large");
    case.pass(2.0).await;
    let notice = || Refusal::NoticeOnly { notice: "message too large".into() };
    assert_eq!(answer(&mut only), Some(Err(notice())));

    let (mut small, mut large) = (case.add(2, 10), case.add(3, 10));
    case.sent();
    case.flight.on_notice("message too large");
    case.flight.on_ok(&id(2), true, "", &OPEN);
    assert_eq!(answer(&mut small), Some(Ok(String::new())));
    case.pass(9.0).await;
    assert_eq!(answer(&mut large), None);
    case.pass(1.0).await;
    assert_eq!(answer(&mut large), Some(Err(notice())));
}

#[tokio::test(start_paused = true)]
async fn rate_limits_are_waited_out() {
    let mut case = Case::new();
    let mut one = case.add(1, 10);
    case.sent();
    case.flight.on_ok(&id(1), false, "rate-limited: slow down", &OPEN);
    assert!(case.sent().is_empty());
    case.pass(1.0).await;
    assert_eq!(case.sent(), ["frame 1"]);
    case.flight.on_ok(&id(1), false, "rate-limited: slow down", &OPEN);
    case.pass(1.0).await;
    assert!(case.sent().is_empty(), "the second wait is longer");
    case.pass(1.0).await;
    assert_eq!(case.sent(), ["frame 1"]);
    case.flight.on_ok(&id(1), false, "rate-limited: slow down", &OPEN);
    case.pass(4.0).await;
    case.sent();
    case.flight.on_ok(&id(1), false, "rate-limited: slow down", &OPEN);
    let refusal = answer(&mut one).unwrap().unwrap_err();
    assert!(refusal.is_retryable(), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn waits_for_authentication() {
    let required = "auth-required: who are you";
    let mut case = Case::new();
    let (mut one, mut two) = (case.add(1, 10), case.add(2, 10));
    case.sent();
    case.flight.on_ok(&id(1), false, required, &OPEN);
    case.flight.on_ok(&id(2), false, required, &AuthStanding::Impossible);
    assert!(matches!(answer(&mut two), Some(Err(Refusal::AuthRequired { .. }))));
    case.flight.on_authenticated();
    assert_eq!(case.sent(), ["frame 1"]);
    case.flight.on_ok(&id(1), false, required, &AuthStanding::Done);
    assert!(matches!(answer(&mut one), Some(Err(Refusal::AuthRequired { .. }))));

    let mut three = case.add(3, 10);
    case.sent();
    case.flight.on_ok(&id(3), false, required, &OPEN);
    case.flight.on_auth_failed("no");
    let detail = "no".to_owned();
    assert_eq!(answer(&mut three), Some(Err(Refusal::AuthRequired { detail })));
}

#[tokio::test(start_paused = true)]
async fn sends_again_after_a_reconnect_but_not_for_ever() {
    let mut case = Case::new();
    let mut one = case.add(1, 1000);
    for _ in 0..Flight::MOST_SENDS {
        case.flight.on_connected();
        assert_eq!(case.sent(), ["frame 1"]);
        assert_eq!(answer(&mut one), None);
        case.flight.on_disconnected("reset");
    }
    assert_eq!(answer(&mut one), Some(Err(Refusal::Disconnected { detail: "reset".into() })));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_not_sent() {
    let mut case = Case::new();
    let (mut one, mut rest) = (case.add(1, 10), case.add(2, 10));
    assert_eq!(case.flight.next_frame(Some(6)), None);
    let refusal = Refusal::TooLarge { bytes: 7, max_bytes: 6 };
    assert_eq!(answer(&mut one), Some(Err(refusal.clone())));
    assert_eq!(answer(&mut rest), Some(Err(refusal)));
    let mut last = case.add(3, 10);
    case.flight.fail_all(&Refusal::Removed);
    assert_eq!(answer(&mut last), Some(Err(Refusal::Removed)));
}
