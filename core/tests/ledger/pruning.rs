//! What is kept, and for how long.

use std::time::Duration;

use jetlane_core::clock::{Clock, SystemClock};
use jetlane_core::domain::{Idempotency, JobId, NewJob, Outcome, TenantName};
use jetlane_core::store::{Pruned, Retention};
use uuid::{NoContext, Timestamp, Uuid};

use crate::given::{Given, a_worker, given_a_ledger, job};

const DAY: Duration = Duration::from_hours(24);

const RETENTION: Retention = Retention {
    jobs: Duration::from_hours(24 * 30),
    dead_letters: Duration::from_hours(24 * 90),
    idempotency_keys: Duration::from_hours(24 * 7),
    events: Duration::from_hours(24 * 30),
    workers: Duration::from_hours(1),
};

async fn prune(given: &Given) -> Pruned {
    given.ledger.prune(&RETENTION).await.unwrap()
}

async fn rotate_events(given: &Given) -> i32 {
    given.ledger.rotate_events(&RETENTION).await.unwrap()
}

#[tokio::test]
async fn finished_jobs_go_after_their_time_and_others_stay() {
    let given = given_a_ledger().await;
    let done = given.accept(job("done")).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);
    drop(given.settle(&claimed, Outcome::Completed { result: None }).await);
    let waiting = given.accept(job("waiting")).await;

    given.advance(DAY * 29).await;
    assert_eq!(prune(&given).await.jobs, 0);
    given.advance(DAY * 31).await;
    assert_eq!(prune(&given).await.jobs, 1);

    let tenant = TenantName::default();
    assert!(given.ledger.find(&tenant, done).await.unwrap().is_none());
    assert!(given.ledger.find(&tenant, waiting).await.unwrap().is_some());
}

#[tokio::test]
async fn an_idempotency_key_is_kept_for_seven_days() {
    let given = given_a_ledger().await;
    let idempotency = Idempotency { key: "k".to_owned(), fingerprint: [0; 32] };
    given.accept(NewJob { idempotency: Some(idempotency), ..job("x") }).await;

    given.advance(DAY * 6 + Duration::from_hours(23)).await;
    assert_eq!(prune(&given).await.idempotency_keys, 0);
    given.advance(DAY * 7 + Duration::from_mins(1)).await;
    assert_eq!(prune(&given).await.idempotency_keys, 1);
}

#[tokio::test]
async fn a_worker_that_is_gone_is_forgotten_unless_it_holds_something() {
    let given = given_a_ledger().await;
    let (gone, holder) = (a_worker(), a_worker());
    given.ledger.register_worker(gone, 1).await.unwrap();
    given.ledger.register_worker(holder, 1).await.unwrap();
    given.accept(job("held")).await;
    given.claim(holder, 1).await;

    given.advance(Duration::from_hours(2)).await;

    assert_eq!(prune(&given).await.workers, 1);
}

#[tokio::test]
async fn a_week_of_events_is_dropped_whole_once_its_jobs_are_gone() {
    let given = given_a_ledger().await;
    let id = given.accept(job("done")).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);
    drop(given.settle(&claimed, Outcome::Completed { result: None }).await);

    given.advance(DAY * 29).await;
    prune(&given).await;
    assert_eq!(rotate_events(&given).await, 0);
    assert_eq!(given.kinds(id).await.len(), 3);
    given.advance(DAY * 60).await;

    assert_eq!(prune(&given).await.jobs, 1);
    assert!(rotate_events(&given).await >= 1);
    assert!(given.kinds(id).await.is_empty());
    assert!(given.ledger.event_horizon().await.unwrap() > 0, "who resumes from there is told");
    given.accept(job("life goes on")).await;
}

#[tokio::test]
async fn events_stay_as_long_as_a_job_of_their_week() {
    let given = given_a_ledger().await;
    let id = given.accept(job("still waiting")).await;

    given.advance(DAY * 365).await;

    prune(&given).await;
    rotate_events(&given).await;
    assert_eq!(given.kinds(id).await, ["queued"]);
}

#[tokio::test]
async fn events_of_a_clock_that_is_ahead_come_to_those_of_their_week() {
    let given = given_a_ledger().await;
    let ahead = SystemClock.now() + DAY * 60;
    let seconds = u64::try_from(ahead.timestamp()).unwrap();
    let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0));
    let early = given.accept(NewJob { id: JobId(id), ..job("early") }).await;
    assert_eq!(strays(&given).await, 1);

    for week in 1..=9 {
        given.advance(DAY * 7 * week).await;
        rotate_events(&given).await;
    }

    assert_eq!(strays(&given).await, 0);
    assert_eq!(given.kinds(early).await, ["queued"]);
}

async fn strays(given: &Given) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM job_events_stray")
        .fetch_one(&given.pool)
        .await
        .unwrap()
}
