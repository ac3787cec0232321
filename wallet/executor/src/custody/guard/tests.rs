//! Unlocking, locking, and which terms of an account give nothing more.

use super::*;
use domain::{Msat, Network};
use serde_json::json;
use vault::PassphraseSource;
use wallet::wire::{AccountId, AccountKind, Budget, OnLimit};

fn guard(dir: &std::path::Path) -> Guard {
    let made = Vault::create(&dir.join("vault"), Network::Practice, PassphraseSource::Generate);
    Guard::new(Arc::new(made.unwrap().vault), false)
}

async fn ask(guard: &Guard, name: &str, mut params: Value) -> Result<CustodyView, ErrorBody> {
    let answer = guard.answer(name, &mut params, Some("ab".into())).await.unwrap()?;
    assert!(!params.to_string().contains("horse"), "a passphrase was taken out of {params}");
    Ok(serde_json::from_value(answer).unwrap())
}

fn code(answer: Result<CustodyView, ErrorBody>) -> String {
    answer.unwrap_err().code.to_string()
}

#[tokio::test]
async fn nothing_is_locked_without_a_passphrase_and_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let guard = guard(dir.path());
    let view = ask(&guard, method::CUSTODY, Value::Null).await.unwrap();
    assert!(!view.has_passphrase && !view.locked && !view.sealed);
    assert!(view.detail.contains("nothing is ever locked"), "{}", view.detail);
    assert_eq!(code(ask(&guard, method::LOCK, Value::Null).await), "no_passphrase");
    let unlock = ask(&guard, method::UNLOCK, json!({ "passphrase": "correct horse" })).await;
    assert_eq!(code(unlock), "no_passphrase");
    assert!(!guard.is_locked());
    assert!(!Guard::none().is_locked());
    assert!(guard.answer(method::PAY, &mut Value::Null, None).await.is_none());
}

#[tokio::test]
async fn a_passphrase_locks_unlocks_and_wrong_ones_wait() {
    let dir = tempfile::tempdir().unwrap();
    let guard = guard(dir.path());
    let short = ask(&guard, method::SET_PASSPHRASE, json!({ "new": "short" })).await;
    assert_eq!(code(short), "passphrase_too_short");
    let set = json!({ "new": "correct horse" });
    let view = ask(&guard, method::SET_PASSPHRASE, set.clone()).await.unwrap();
    assert!(view.has_passphrase && !view.locked && view.unlocked_until.is_some());
    assert_eq!(view.kept_in, "file_with_passphrase");
    assert_eq!(code(ask(&guard, method::SET_PASSPHRASE, set).await), "passphrase_needed");

    assert!(ask(&guard, method::LOCK, Value::Null).await.unwrap().locked);
    let right = || json!({ "passphrase": "correct horse" });
    let wrong = || json!({ "passphrase": "wrong horse" });
    assert_eq!(code(ask(&guard, method::UNLOCK, wrong()).await), "wrong_passphrase");
    assert_eq!(code(ask(&guard, method::UNLOCK, right()).await), "too_many_tries");
    assert!(guard.is_locked());
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(!ask(&guard, method::UNLOCK, right()).await.unwrap().locked);

    let lock = json!({ "passphrase": "correct horse", "minutes": 3, "large_msat": 7_000 });
    let view = ask(&guard, method::SET_LOCK, lock).await.unwrap();
    assert_eq!((view.lock_after_minutes, view.large_msat.unwrap().get()), (Some(3), 7_000));
    let long = json!({ "passphrase": "correct horse", "minutes": 9_999 });
    assert_eq!(code(ask(&guard, method::SET_LOCK, long).await), "invalid_params");
    // As if it had been unlocked three minutes ago, by either clock, or the clock was set back.
    let (now, clock) = (Instant::now(), host::clock::now());
    for (since, at, locked) in [
        (now, clock.minus_secs(170), false),
        (now, clock.minus_secs(181), true),
        (now, clock.plus_secs(60), true),
    ] {
        guard.state().unlocked = Some((since, at));
        assert_eq!(guard.is_locked(), locked, "{at:?}");
    }
    let change = json!({ "passphrase": "correct horse", "new": "another horse" });
    let view = ask(&guard, method::SET_PASSPHRASE, change).await.unwrap();
    assert_eq!(view.lock_after_minutes, Some(3), "its terms stay");
    assert!(guard.vault.as_ref().unwrap().proves("another horse").unwrap());
    let remove = json!({ "passphrase": "another horse" });
    assert!(!ask(&guard, method::SET_PASSPHRASE, remove).await.unwrap().has_passphrase);
}

#[tokio::test]
async fn what_is_sealed_with_the_seed_is_there_after_a_restart_and_it_starts_locked() {
    let dir = tempfile::tempdir().unwrap();
    let first = guard(dir.path());
    ask(&first, method::SET_PASSPHRASE, json!({ "new": "correct horse" })).await.unwrap();
    let lock = json!({ "passphrase": "correct horse", "minutes": 5 });
    ask(&first, method::SET_LOCK, lock).await.unwrap();
    let given = || PassphraseSource::Given(Zeroizing::new("correct horse".into()));
    let open = || Vault::open(&dir.path().join("vault"), Network::Practice, given()).unwrap();
    let again = Guard::new(Arc::new(open()), false);
    assert!(again.is_locked());
    assert_eq!(again.view(None).lock_after_minutes, Some(5));
    assert!(!Guard::new(Arc::new(open()), true).is_locked());
}

#[test]
fn only_terms_that_give_nothing_more_are_narrower() {
    let held = Account {
        id: AccountId::new("a").unwrap(),
        name: "A".into(),
        kind: AccountKind::Agent,
        isolated: false,
        budget: Some(Budget { amount_msat: Msat::from_sat(10), renews: safety::Renewal::Daily }),
        per_payment_msat: Some(Msat::from_sat(5)),
        allow: vec!["x".into(), "y".into()],
        expires_at: Some(Timestamp::from_secs(100)),
        on_limit: OnLimit::Ask,
        connection: None,
    };
    let view = AccountView {
        account: held.clone(),
        closed: false,
        balance_msat: None,
        spent_msat: Msat::ZERO,
        left_msat: None,
        created_at: Timestamp::from_secs(1),
    };
    let is = |change: &dyn Fn(&mut Account)| {
        let mut new = held.clone();
        change(&mut new);
        narrows(&new, &view)
    };
    assert!(is(&|_| {}));
    assert!(is(&|new| new.allow = vec!["y".into()]));
    assert!(is(&|new| new.expires_at = Some(Timestamp::from_secs(99))));
    assert!(is(&|new| new.per_payment_msat = Some(Msat::from_sat(4))));
    assert!(is(&|new| new.name = "B".into()));
    let wider: [&dyn Fn(&mut Account); 9] = [
        &|new| new.budget = None,
        &|new| new.budget.as_mut().unwrap().amount_msat = Msat::from_sat(11),
        &|new| new.budget.as_mut().unwrap().renews = safety::Renewal::Never,
        &|new| new.per_payment_msat = None,
        &|new| new.per_payment_msat = Some(Msat::from_sat(6)),
        &|new| new.allow.clear(),
        &|new| new.allow.push("z".into()),
        &|new| new.expires_at = None,
        &|new| new.isolated = true,
    ];
    for (at, change) in wider.iter().enumerate() {
        assert!(!is(change), "change {at}");
    }
    assert!(!narrows(&held, &AccountView { closed: true, ..view.clone() }), "opens it again");
}
