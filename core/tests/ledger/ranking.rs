//! Changes of a lane's ageing.

use std::time::Duration;

use jetlane_core::domain::{ErrorKind, JobError, LaneName, LanePatch, NewJob, Outcome, TenantName};
use jetlane_core::store::Ranked;

use crate::given::{Given, a_worker, given_a_ledger, job, rung};

async fn patch(given: &Given, patch: LanePatch) {
    drop(given.ledger.update_lane(&LaneName::default(), patch).await.unwrap());
}

async fn set_ageing(given: &Given, ageing: Option<i32>) {
    patch(given, LanePatch { ageing: Some(ageing), ..LanePatch::default() }).await;
}

async fn rank_anew(given: &Given) -> Ranked {
    given.ledger.rank_anew(&LaneName::default()).await.unwrap()
}

/// Whether the lane is still looked at.
async fn is_marked(given: &Given) -> bool {
    given.ledger.unranked_lanes().await.unwrap() == [LaneName::default()]
}

#[tokio::test]
async fn ageing_counts_for_jobs_that_wait_already_once_they_are_ranked_anew() {
    let given = given_a_ledger().await;
    let old = given.accept(job("old")).await;
    given.advance(Duration::from_secs(90)).await;
    given.accept(NewJob { priority: 1, ..job("better") }).await;

    set_ageing(&given, Some(60)).await;
    let ranked = rank_anew(&given).await;

    assert_eq!((ranked.jobs, rung(&ranked.change)), (2, vec!["default"]));
    assert_eq!(given.claim(a_worker(), 1).await[0].lease.job_id, old);
}

#[tokio::test]
async fn ageing_that_ends_counts_no_more() {
    let given = given_a_ledger().await;
    set_ageing(&given, Some(60)).await;
    given.accept(job("old")).await;
    given.advance(Duration::from_secs(90)).await;
    let better = given.accept(NewJob { priority: 1, ..job("better") }).await;

    set_ageing(&given, None).await;
    assert_eq!(rank_anew(&given).await.jobs, 2);

    assert_eq!(given.claim(a_worker(), 1).await[0].lease.job_id, better);
}

#[tokio::test]
async fn the_turn_of_a_key_goes_to_whom_ageing_now_puts_first() {
    let given = given_a_ledger().await;
    let keyed = |name| NewJob { concurrency_key: Some("k".to_owned()), ..job(name) };
    let old = given.accept(keyed("old")).await;
    given.advance(Duration::from_secs(90)).await;
    given.accept(NewJob { priority: 1, ..keyed("better") }).await;

    set_ageing(&given, Some(60)).await;
    let ranked = rank_anew(&given).await;

    assert_eq!(ranked.jobs, 2);
    let claimed: Vec<_> =
        given.claim(a_worker(), 2).await.iter().map(|job| job.lease.job_id).collect();
    assert_eq!(claimed, [old]);
}

/// What is accepted by a transaction that began before the change comes to
/// light after it.
#[tokio::test]
async fn what_comes_to_light_with_an_old_rank_is_ranked_until_none_can_come_any_more() {
    let given = given_a_ledger().await;
    set_ageing(&given, Some(60)).await;
    assert_eq!(rank_anew(&given).await.jobs, 0);
    assert!(is_marked(&given).await);

    given.accept(job("late")).await;
    sqlx::query("UPDATE jobs SET aged = NULL").execute(&given.pool).await.unwrap();
    given.advance(Duration::from_mins(1)).await;

    assert_eq!(rank_anew(&given).await.jobs, 1);
    assert!(is_marked(&given).await);
    assert_eq!(rank_anew(&given).await.jobs, 0);
    assert!(!is_marked(&given).await);
}

#[tokio::test]
async fn a_job_that_somebody_changes_is_ranked_later_and_not_waited_for() {
    let given = given_a_ledger().await;
    given.accept(job("x")).await;
    set_ageing(&given, Some(60)).await;
    given.advance(Duration::from_mins(1)).await;
    let mut other = given.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM jobs FOR UPDATE").execute(&mut *other).await.unwrap();

    assert_eq!(rank_anew(&given).await.jobs, 0);
    assert!(is_marked(&given).await);

    other.rollback().await.unwrap();
    assert_eq!(rank_anew(&given).await.jobs, 1);
}

#[tokio::test]
async fn ageing_that_changes_while_a_job_does_not_wait_counts_once_it_waits_again() {
    let given = given_a_ledger().await;
    let released = given.accept(job("released")).await;
    let dead = given.accept(job("dead")).await;
    let claimed = given.claim(a_worker(), 2).await;
    let error = JobError { kind: ErrorKind::Permanent, message: "never".to_owned() };
    drop(given.settle(&claimed[1], Outcome::Failed { error }).await);
    let urgent = given.accept(NewJob { priority: 1000, ..job("urgent") }).await;

    patch(&given, LanePatch { ageing: Some(Some(60)), ..LanePatch::default() }).await;
    drop(given.settle(&claimed[0], Outcome::Released).await);
    drop(given.ledger.redrive(&TenantName::default(), vec![dead]).await.unwrap());

    let order: Vec<_> =
        given.claim(a_worker(), 3).await.iter().map(|job| job.lease.job_id).collect();
    assert_eq!(order, [urgent, released, dead]);
}
