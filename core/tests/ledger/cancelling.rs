use jetlane_core::domain::{JobId, JobState, Outcome, TenantName};
use jetlane_core::store::{Cancelled, Deleted};
use uuid::Uuid;

use crate::given::{a_worker, given_a_ledger, job};

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once_and_never_claimed() {
    let given = given_a_ledger().await;
    let id = given.accept(job("unwanted")).await;

    let cancelled = given.ledger.cancel(&TenantName::default(), id).await.unwrap();

    assert!(matches!(cancelled, Cancelled::Accepted(_)), "{cancelled:?}");
    assert!(given.claim(a_worker(), 1).await.is_empty());
    assert_eq!(given.kinds(id).await, ["queued", "cancelled"]);
}

#[tokio::test]
async fn a_running_job_is_marked_once_and_stays_running() {
    let given = given_a_ledger().await;
    let id = given.accept(job("unwanted")).await;
    given.claim(a_worker(), 1).await;

    let first = given.ledger.cancel(&TenantName::default(), id).await.unwrap();
    let second = given.ledger.cancel(&TenantName::default(), id).await.unwrap();

    assert!(matches!(first, Cancelled::Accepted(_)), "{first:?}");
    assert!(matches!(second, Cancelled::Already), "{second:?}");
    let job = given.find(id).await;
    assert_eq!(job.state, JobState::Running);
    assert!(job.cancel_requested_at.is_some());
    assert_eq!(given.kinds(id).await, ["queued", "running", "cancel_requested"]);
}

#[tokio::test]
async fn a_final_job_cannot_be_cancelled() {
    let given = given_a_ledger().await;
    let id = given.accept(job("done")).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);
    drop(given.settle(&claimed, Outcome::Completed { result: None }).await);

    let cancelled = given.ledger.cancel(&TenantName::default(), id).await.unwrap();

    assert!(matches!(cancelled, Cancelled::Final(JobState::Completed)), "{cancelled:?}");
}

#[tokio::test]
async fn another_tenants_job_is_not_there() {
    let given = given_a_ledger().await;
    let id = given.accept(job("mine")).await;
    let other: TenantName = "other".parse().unwrap();

    assert!(given.ledger.find(&other, id).await.unwrap().is_none());
    assert!(matches!(given.ledger.cancel(&other, id).await.unwrap(), Cancelled::NotFound));
    assert!(matches!(given.ledger.delete(&other, id).await.unwrap(), Deleted::NotFound));
}

#[tokio::test]
async fn a_deleted_job_is_gone_and_its_events_stay() {
    let given = given_a_ledger().await;
    let id = given.accept(job("removed")).await;

    let deleted = given.ledger.delete(&TenantName::default(), id).await.unwrap();

    assert!(matches!(deleted, Deleted::Done(_)), "{deleted:?}");
    assert!(given.ledger.find(&TenantName::default(), id).await.unwrap().is_none());
    assert_eq!(given.kinds(id).await, ["queued", "deleted"]);
}

#[tokio::test]
async fn a_running_job_cannot_be_deleted() {
    let given = given_a_ledger().await;
    let id = given.accept(job("busy")).await;
    given.claim(a_worker(), 1).await;

    let deleted = given.ledger.delete(&TenantName::default(), id).await.unwrap();

    assert!(matches!(deleted, Deleted::Running), "{deleted:?}");
    assert_eq!(given.find(id).await.state, JobState::Running);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_cancelled() {
    let given = given_a_ledger().await;
    let nobody = JobId(Uuid::now_v7());

    let cancelled = given.ledger.cancel(&TenantName::default(), nobody).await.unwrap();

    assert!(matches!(cancelled, Cancelled::NotFound), "{cancelled:?}");
}
