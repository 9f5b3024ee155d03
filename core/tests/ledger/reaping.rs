use std::time::Duration;

use jetlane_core::domain::{JobState, TenantName};
use jetlane_core::store::Held;

use crate::given::{LEASE, a_worker, given_a_settled_server, job, rung};

const SILENCE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_silent_workers_jobs_wait_again_uncharged() {
    let given = given_a_settled_server().await;
    let worker = a_worker();
    given.ledger.register_worker(worker, 1).await.unwrap();
    let id = given.accept(job("orphan")).await;
    given.claim(worker, 1).await;

    let before = given.ledger.reap(SILENCE).await.unwrap();
    given.advance(SILENCE + Duration::from_secs(1)).await;
    let after = given.ledger.reap(SILENCE).await.unwrap();

    assert!(before.change.unsent.is_empty());
    assert_eq!(before.busy.len(), 1);
    assert_eq!(before.busy[0].0, worker);
    assert!(before.busy[0].1 <= SILENCE);
    assert_eq!(rung(&after.change), ["default"]);
    assert!(after.busy.is_empty());
    let job = given.find(id).await;
    assert_eq!((job.state, job.failures), (JobState::Queued, 0));
    assert_eq!(given.claim(a_worker(), 1).await[0].lease.attempt, 2);
}

#[tokio::test]
async fn a_worker_that_renews_keeps_its_jobs() {
    let given = given_a_settled_server().await;
    let worker = a_worker();
    given.ledger.register_worker(worker, 1).await.unwrap();
    let id = given.accept(job("kept")).await;
    let claimed = given.claim(worker, 1).await.remove(0);

    given.advance(SILENCE + Duration::from_secs(1)).await;
    let held = Held { lease: claimed.lease, progress: None };
    given.ledger.renew(worker, &[held], LEASE).await.unwrap();
    let reaped = given.ledger.reap(SILENCE).await.unwrap();

    assert!(reaped.change.unsent.is_empty());
    assert_eq!(given.find(id).await.state, JobState::Running);
}

#[tokio::test]
async fn a_worker_that_claims_after_a_long_rest_is_not_taken_for_dead() {
    let given = given_a_settled_server().await;
    let worker = a_worker();
    given.ledger.register_worker(worker, 1).await.unwrap();
    given.advance(SILENCE + Duration::from_secs(1)).await;
    let id = given.accept(job("just begun")).await;
    given.claim(worker, 1).await;

    let reaped = given.ledger.reap(SILENCE).await.unwrap();

    assert!(reaped.change.unsent.is_empty());
    assert_eq!(given.find(id).await.state, JobState::Running);
}

#[tokio::test]
async fn a_lost_job_whose_end_was_asked_for_is_cancelled() {
    let given = given_a_settled_server().await;
    let id = given.accept(job("unwanted")).await;
    given.claim(a_worker(), 1).await;
    given.ledger.cancel(&TenantName::default(), id).await.map(drop).unwrap();

    given.advance(LEASE + Duration::from_secs(1)).await;
    given.ledger.reap(SILENCE).await.map(drop).unwrap();

    assert_eq!(given.find(id).await.state, JobState::Cancelled);
}
