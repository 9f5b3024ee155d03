use std::time::Duration;

use chrono::{DateTime, Utc};
use jetlane_core::clock::{Clock, SystemClock};
use jetlane_core::domain::{ErrorKind, JobState, NewJob, Outcome, RunAt};
use jetlane_core::store::{Acceptance, Refused};
use serde_json::Map;

use crate::given::{a_worker, given_a_ledger, job, rung};

#[tokio::test]
async fn an_accepted_job_is_there_with_its_first_event_and_what_nats_is_owed() {
    let given = given_a_ledger().await;

    let (accepted, change) = given.accepted(job("first")).await;

    assert_eq!(given.find(accepted.id).await, accepted);
    assert_eq!(given.kinds(accepted.id).await, ["queued"]);
    assert_eq!(rung(&change), ["default"]);
    let owed: i64 =
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&given.pool).await.unwrap();
    assert_eq!(owed, 1);
}

#[tokio::test]
async fn a_job_due_later_is_scheduled_and_rings_nobody() {
    let given = given_a_ledger().await;
    let in_a_century: DateTime<Utc> = "2126-01-01T00:00:00Z".parse().unwrap();

    let new = NewJob { run_at: RunAt::At(in_a_century), ..job("later") };
    let (accepted, change) = given.accepted(new).await;

    assert_eq!(accepted.state, JobState::Scheduled);
    assert_eq!(given.find(accepted.id).await.run_at, in_a_century);
    assert!(rung(&change).is_empty());
}

#[tokio::test]
async fn a_job_for_an_unknown_lane_writes_nothing() {
    let given = given_a_ledger().await;

    let lost = NewJob { lane: "nowhere".parse().unwrap(), ..job("lost") };
    let (answers, change) = given.ledger.accept(vec![lost]).await.unwrap();

    assert!(matches!(&answers[..], [Acceptance::Refused(Refused::UnknownLane(_))]), "{answers:?}");
    assert!(change.unsent.is_empty());
    let rows: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM job_events)
              + (SELECT count(*) FROM outbox)",
    )
    .fetch_one(&given.pool)
    .await
    .unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_due_job_is_promoted_once_and_the_next_due_time_is_told() {
    let given = given_a_ledger().await;
    let soon = SystemClock.now() + Duration::from_mins(1);
    let id = given.accept(NewJob { run_at: RunAt::At(soon), ..job("soon") }).await;

    let early = given.ledger.promote().await.unwrap();
    given.advance(Duration::from_secs(61)).await;
    let due = given.ledger.promote().await.unwrap();
    let again = given.ledger.promote().await.unwrap();

    assert!(early.change.unsent.is_empty());
    let next = early.next_due_in.unwrap();
    assert!((Duration::from_secs(50)..=Duration::from_mins(1)).contains(&next), "{next:?}");
    assert_eq!(rung(&due.change), ["default"]);
    assert!(again.change.unsent.is_empty());
    assert_eq!(again.next_due_in, None);
    assert_eq!(given.kinds(id).await, ["scheduled", "queued"]);
}

#[tokio::test]
async fn a_job_that_was_not_started_in_time_fails_and_is_not_claimed() {
    let given = given_a_ledger().await;
    let soon = SystemClock.now() + Duration::from_mins(1);
    let id = given.accept(NewJob { start_by: Some(soon), ..job("urgent") }).await;

    let early = given.ledger.promote().await.unwrap();
    given.advance(Duration::from_secs(61)).await;
    let claimed = given.claim(a_worker(), 1).await;
    let late = given.ledger.promote().await.unwrap();

    let next = early.next_due_in.unwrap();
    assert!((Duration::from_secs(50)..=Duration::from_mins(1)).contains(&next), "{next:?}");
    assert!(claimed.is_empty());
    assert_eq!(late.change.events().count(), 1);
    let dead = given.find(id).await;
    assert_eq!((dead.state, dead.error.unwrap().kind), (JobState::Failed, ErrorKind::Expired));
}

#[tokio::test]
async fn a_job_that_was_started_in_time_does_not_expire_while_it_waits_for_a_retry() {
    let given = given_a_ledger().await;
    let soon = SystemClock.now() + Duration::from_mins(1);
    let id = given.accept(NewJob { start_by: Some(soon), ..job("urgent") }).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);
    drop(given.settle(&claimed, Outcome::Released).await);

    given.advance(Duration::from_secs(61)).await;

    assert!(given.ledger.promote().await.unwrap().change.unsent.is_empty());
    assert_eq!(given.claim(a_worker(), 1).await[0].lease.job_id, id);
}

/// Nobody is refused for another's sake, who may be another tenant.
#[tokio::test]
async fn a_job_that_the_ledger_does_not_take_keeps_no_other_out() {
    let given = given_a_ledger().await;
    let bad = || NewJob {
        params: Map::from_iter([("text".to_owned(), "\0".into())]),
        ..job("with a NUL")
    };
    let jobs = vec![bad(), job("first"), bad(), job("second")];

    let (answers, change) = given.ledger.accept(jobs).await.unwrap();

    let accepted: Vec<_> =
        answers.iter().map(|answer| matches!(answer, Acceptance::Accepted(_))).collect();
    assert_eq!(accepted, [false, true, false, true], "{answers:?}");
    assert_eq!(change.events().count(), 2);
}
