//! Dead letters.

use jetlane_core::domain::{ErrorKind, JobError, JobId, JobState, NewJob, Outcome, TenantName};
use jetlane_core::store::DeadFilter;

use crate::given::{Given, a_worker, given_a_ledger, job, rung};

async fn given_dead(given: &Given, new: NewJob, kind: ErrorKind) -> JobId {
    let id = given.accept(new).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);
    let error = JobError { kind, message: "on purpose".to_owned() };
    drop(given.settle(&claimed, Outcome::Failed { error }).await);
    id
}

async fn dead(given: &Given, filter: DeadFilter) -> Vec<JobId> {
    given.ledger.dead_letters(&TenantName::default(), &filter, None, 10).await.unwrap()
}

#[tokio::test]
async fn dead_letters_are_found_by_how_they_failed() {
    let given = given_a_ledger().await;
    let timeout = given_dead(&given, job("slow"), ErrorKind::Timeout).await;
    let panic = given_dead(&given, job("wild"), ErrorKind::Panic).await;
    given.accept(job("alive")).await;

    assert_eq!(dead(&given, DeadFilter::default()).await, [panic, timeout]);
    let filter = DeadFilter { error: Some(ErrorKind::Timeout), ..DeadFilter::default() };
    assert_eq!(dead(&given, filter).await, [timeout]);
    let filter = DeadFilter { job_ids: vec![panic], ..DeadFilter::default() };
    assert_eq!(dead(&given, filter).await, [panic]);
}

#[tokio::test]
async fn a_redriven_job_waits_again_with_nothing_charged() {
    let given = given_a_ledger().await;
    let id = given_dead(&given, job("x"), ErrorKind::Permanent).await;
    let alive = given.accept(job("alive")).await;

    let change = given.ledger.redrive(&TenantName::default(), vec![id, alive]).await.unwrap();

    assert_eq!(change.events().map(|event| event.job_id).collect::<Vec<_>>(), [id]);
    assert_eq!(rung(&change), ["default"]);
    let job = given.find(id).await;
    assert_eq!((job.state, job.failures, job.attempt), (JobState::Queued, 0, 1));
    assert_eq!(given.kinds(id).await, ["queued", "running", "failed", "redriven"]);
}

#[tokio::test]
async fn a_redriven_job_waits_for_its_key_like_any_other() {
    let given = given_a_ledger().await;
    let keyed = |name| NewJob { concurrency_key: Some("k".to_owned()), ..job(name) };
    let id = given_dead(&given, keyed("dead"), ErrorKind::Permanent).await;
    given.accept(keyed("next")).await;
    let running = given.claim(a_worker(), 1).await.remove(0);

    let change = given.ledger.redrive(&TenantName::default(), vec![id]).await.unwrap();

    assert!(rung(&change).is_empty());
    assert!(given.claim(a_worker(), 9).await.is_empty());
    let freed = given.settle(&running, Outcome::Completed { result: None }).await;
    assert_eq!(rung(&freed), ["default"]);
    assert_eq!(given.claim(a_worker(), 9).await[0].lease.job_id, id);
}

#[tokio::test]
async fn a_purge_removes_dead_letters_only() {
    let given = given_a_ledger().await;
    let id = given_dead(&given, job("x"), ErrorKind::Permanent).await;
    let alive = given.accept(job("alive")).await;

    let change = given.ledger.purge(&TenantName::default(), &[id, alive]).await.unwrap();

    assert_eq!(change.events().map(|event| event.job_id).collect::<Vec<_>>(), [id]);
    assert!(given.ledger.find(&TenantName::default(), id).await.unwrap().is_none());
    assert_eq!(given.kinds(id).await, ["queued", "running", "failed", "deleted"]);
    assert_eq!(given.find(alive).await.state, JobState::Queued);
}
