use std::time::Duration;

use jetlane_core::clock::{Clock, SystemClock};
use jetlane_core::domain::{Change, JobId, JobPatch, JobState, NewJob, RunAt, TenantName};
use jetlane_core::store::{StoreError, Updated};

use crate::given::{Given, a_worker, given_a_ledger, job, rung};

async fn update(given: &Given, id: JobId, patch: JobPatch) -> Change {
    match given.ledger.update(&TenantName::default(), id, patch).await.unwrap() {
        Updated::Done(change) => change,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_not_given_stays() {
    let given = given_a_ledger().await;
    let new = NewJob { submitted_by: Some("ada".to_owned()), priority: 3, ..job("before") };
    let id = given.accept(new).await;

    let patch = JobPatch { name: Some("after".to_owned()), ..JobPatch::default() };
    drop(update(&given, id, patch).await);
    drop(update(&given, id, JobPatch { submitted_by: Some(None), ..JobPatch::default() }).await);

    let job = given.find(id).await;
    assert_eq!((job.name.as_str(), job.priority, job.submitted_by), ("after", 3, None));
    assert_eq!(given.kinds(id).await, ["queued", "updated", "updated"]);
}

#[tokio::test]
async fn an_empty_patch_writes_nothing() {
    let given = given_a_ledger().await;
    let id = given.accept(job("same")).await;

    assert!(update(&given, id, JobPatch::default()).await.unsent.is_empty());

    assert_eq!(given.kinds(id).await, ["queued"]);
}

#[tokio::test]
async fn a_due_time_decides_anew_whether_the_job_waits_for_it() {
    let given = given_a_ledger().await;
    let later = SystemClock.now() + Duration::from_hours(1);
    let id = given.accept(NewJob { run_at: RunAt::At(later), ..job("moved") }).await;
    let at = |run_at| JobPatch { run_at: Some(run_at), ..JobPatch::default() };

    let sooner = update(&given, id, at(SystemClock.now() - Duration::from_secs(1))).await;
    assert_eq!(rung(&sooner), ["default"]);
    assert_eq!(given.find(id).await.state, JobState::Queued);

    let put_off = update(&given, id, at(later)).await;
    assert!(rung(&put_off).is_empty());
    assert_eq!(given.find(id).await.state, JobState::Scheduled);
}

#[tokio::test]
async fn a_job_that_moves_rings_the_lane_it_moves_to() {
    let given = given_a_ledger().await;
    given.ledger.register_lanes(&["other".parse().unwrap()]).await.unwrap();
    let id = given.accept(job("moved")).await;

    let lane = Some("other".parse().unwrap());
    let change = update(&given, id, JobPatch { lane, ..JobPatch::default() }).await;

    assert_eq!(rung(&change), ["other"]);
}

#[tokio::test]
async fn a_job_cannot_move_to_a_lane_that_is_not_there() {
    let given = given_a_ledger().await;
    let id = given.accept(job("stays")).await;

    let lane = Some("nowhere".parse().unwrap());
    let patch = JobPatch { lane, name: Some("changed".to_owned()), ..JobPatch::default() };
    let refused = given.ledger.update(&TenantName::default(), id, patch).await;

    assert!(matches!(refused, Err(StoreError::UnknownLane(_))), "{refused:?}");
    assert_eq!(given.find(id).await.name, "stays");
}

#[tokio::test]
async fn a_running_job_cannot_be_changed() {
    let given = given_a_ledger().await;
    let id = given.accept(job("busy")).await;
    given.claim(a_worker(), 1).await;

    let patch = JobPatch { priority: Some(9), ..JobPatch::default() };
    let refused = given.ledger.update(&TenantName::default(), id, patch).await.unwrap();

    assert!(matches!(refused, Updated::TooLate(JobState::Running)), "{refused:?}");
    assert_eq!(given.find(id).await.priority, 0);
}
