use std::collections::HashSet;
use std::time::Duration;

use jetlane_core::domain::{JobState, NewJob};
use tokio::time::timeout;

use crate::given::{a_worker, given_a_ledger, job};

#[tokio::test]
async fn higher_priority_goes_first_then_older_each_on_a_gpu_of_its_own() {
    let given = given_a_ledger().await;
    let mut ids = Vec::new();
    for priority in [1, 9, 5, 9] {
        ids.push(given.accept(NewJob { priority, ..job("p") }).await);
    }

    let claimed = given.claim(a_worker(), 3).await;

    let order: Vec<_> = claimed.iter().map(|claimed| claimed.lease.job_id).collect();
    assert_eq!(order, [ids[1], ids[3], ids[2]]);
    assert_eq!(claimed.iter().map(|claimed| claimed.gpu_id).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(claimed.iter().all(|claimed| claimed.lease.attempt == 1));
    assert_eq!(given.find(ids[0]).await.state, JobState::Queued);
    assert_eq!(given.kinds(ids[1]).await, ["queued", "running"]);
}

#[tokio::test]
async fn with_no_slot_nothing_is_claimed() {
    let given = given_a_ledger().await;
    let id = given.accept(job("waits")).await;

    assert!(given.claim(a_worker(), 0).await.is_empty());

    assert_eq!(given.kinds(id).await, ["queued"]);
}

/// Deterministic: the row is still locked by another transaction when the claim runs.
#[tokio::test]
async fn a_job_that_is_being_changed_is_skipped_not_waited_for() {
    let given = given_a_ledger().await;
    let (locked, free) = (given.accept(job("locked")).await, given.accept(job("free")).await);
    let mut open = given.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM jobs WHERE id = $1 FOR UPDATE")
        .bind(locked.0)
        .execute(&mut *open)
        .await
        .unwrap();

    let claimed = timeout(Duration::from_secs(5), given.claim(a_worker(), 2)).await.unwrap();

    open.rollback().await.unwrap();
    let ids: Vec<_> = claimed.iter().map(|claimed| claimed.lease.job_id).collect();
    assert_eq!(ids, [free]);
}

#[tokio::test]
async fn no_two_claimers_get_the_same_job() {
    let given = given_a_ledger().await;
    for _ in 0..60 {
        given.accept(job("contended")).await;
    }

    let claimers = (0..8).map(|_| async {
        let (worker, mut mine) = (a_worker(), Vec::new());
        loop {
            let claimed = given.claim(worker, 3).await;
            if claimed.is_empty() {
                break mine;
            }
            mine.extend(claimed.into_iter().map(|claimed| claimed.lease.job_id));
        }
    });
    let claimed: Vec<_> =
        futures_util::future::join_all(claimers).await.into_iter().flatten().collect();

    // A row locked by a neighbour is skipped, so the last ones may be left to a later claim.
    let left = given.claim(a_worker(), 60).await.len();
    assert_eq!(claimed.len() + left, 60);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), claimed.len());
}
