use std::time::Duration;

use jetlane_core::domain::{Outcome, TenantName};
use jetlane_core::store::{Held, Renewed};

use crate::given::{LEASE, a_worker, given_a_ledger, job};

#[tokio::test]
async fn a_renewal_keeps_what_is_held_and_tells_what_is_not() {
    let given = given_a_ledger().await;
    let worker = a_worker();
    given.accept(job("kept")).await;
    given.accept(job("settled meanwhile")).await;
    let claimed = given.claim(worker, 2).await;
    drop(given.settle(&claimed[1], Outcome::Released).await);
    let held: Vec<_> =
        claimed.iter().map(|claimed| Held { lease: claimed.lease, progress: Some(0.5) }).collect();

    let renewed = given.ledger.renew(worker, &held, LEASE).await.unwrap();

    let kept = Renewed { lease: claimed[0].lease, is_cancel_requested: false };
    assert_eq!(renewed, [kept]);
    assert_eq!(given.find(kept.lease.job_id).await.progress, Some(0.5));
}

#[tokio::test]
async fn of_two_attempts_of_one_job_the_earlier_was_taken_away() {
    let given = given_a_ledger().await;
    let worker = a_worker();
    let id = given.accept(job("again")).await;
    let first = given.claim(worker, 1).await.remove(0);
    drop(given.settle(&first, Outcome::Released).await);
    let second = given.claim(worker, 1).await.remove(0);
    let held = [(first.lease, 0.9), (second.lease, 0.1), (first.lease, 0.8)]
        .map(|(lease, progress)| Held { lease, progress: Some(progress) });

    let renewed = given.ledger.renew(worker, &held, LEASE).await.unwrap();

    assert_eq!(renewed, [Renewed { lease: second.lease, is_cancel_requested: false }]);
    assert_eq!(given.find(id).await.progress, Some(0.1));
}

#[tokio::test]
async fn a_renewal_tells_that_the_end_was_asked_for() {
    let given = given_a_ledger().await;
    let worker = a_worker();
    let id = given.accept(job("unwanted")).await;
    let claimed = given.claim(worker, 1).await.remove(0);
    given.ledger.cancel(&TenantName::default(), id).await.map(drop).unwrap();

    let held = Held { lease: claimed.lease, progress: None };
    let renewed = given.ledger.renew(worker, &[held], LEASE).await.unwrap();

    assert_eq!(renewed, [Renewed { lease: claimed.lease, is_cancel_requested: true }]);
}

#[tokio::test]
async fn another_worker_cannot_renew() {
    let given = given_a_ledger().await;
    given.accept(job("mine")).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);

    let held = Held { lease: claimed.lease, progress: None };
    assert!(given.ledger.renew(a_worker(), &[held], LEASE).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_worker_is_alive_while_somebody_else_has_locked_what_it_holds() {
    let given = given_a_ledger().await;
    let worker = a_worker();
    given.ledger.register_worker(worker, 1).await.unwrap();
    let id = given.accept(job("held")).await;
    let claimed = given.claim(worker, 1).await.remove(0);
    let mut lock = given.pool.begin().await.unwrap();
    // Somebody else's transactions last as long as they like.
    let sql = "SET LOCAL idle_in_transaction_session_timeout = 0";
    sqlx::query(sql).execute(&mut *lock).await.unwrap();
    sqlx::query("SELECT FROM jobs WHERE id = $1 FOR UPDATE")
        .bind(id.0)
        .execute(&mut *lock)
        .await
        .unwrap();
    given.advance(Duration::from_mins(1)).await;

    let held = [Held { lease: claimed.lease, progress: None }];
    // It gives up on the leases by itself.
    given.ledger.renew(worker, &held, LEASE).await.unwrap_err();

    let age: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM ledger_now() - heartbeat_at)::float8 FROM workers",
    )
    .fetch_one(&given.pool)
    .await
    .unwrap();
    assert!(age < 30.0, "{age} s");
    lock.rollback().await.unwrap();
}
