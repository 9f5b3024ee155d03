use std::time::Duration;

use chrono::{DateTime, Utc};
use jetlane_core::clock::{Clock, SystemClock};
use jetlane_core::domain::{JobState, NewJob, RunAt};
use jetlane_core::store::StoreError;

use crate::given::{given_a_ledger, job, rung};

#[tokio::test]
async fn an_accepted_job_is_there_with_its_first_event_and_what_nats_is_owed() {
    let given = given_a_ledger().await;

    let accepted = given.ledger.accept(job("first")).await.unwrap();

    assert_eq!(given.find(accepted.job.id).await, accepted.job);
    assert_eq!(given.kinds(accepted.job.id).await, ["queued"]);
    assert_eq!(rung(&accepted.change), ["default"]);
    let owed: i64 =
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&given.pool).await.unwrap();
    assert_eq!(owed, 1);
}

#[tokio::test]
async fn a_job_due_later_is_scheduled_and_rings_nobody() {
    let given = given_a_ledger().await;
    let in_a_century: DateTime<Utc> = "2126-01-01T00:00:00Z".parse().unwrap();

    let new = NewJob { run_at: RunAt::At(in_a_century), ..job("later") };
    let accepted = given.ledger.accept(new).await.unwrap();

    assert_eq!(accepted.job.state, JobState::Scheduled);
    assert_eq!(given.find(accepted.job.id).await.run_at, in_a_century);
    assert!(rung(&accepted.change).is_empty());
}

#[tokio::test]
async fn a_job_for_an_unknown_lane_writes_nothing() {
    let given = given_a_ledger().await;

    let refused =
        given.ledger.accept(NewJob { lane: "nowhere".parse().unwrap(), ..job("lost") }).await;

    assert!(matches!(refused, Err(StoreError::UnknownLane(_))), "{refused:?}");
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
