use std::time::Duration;

use jetlane_core::domain::{Claimed, ErrorKind, JobError, JobState, NewJob, Outcome, Settlement};
use jetlane_core::store::Held;
use serde_json::json;

use crate::given::{LEASE, a_worker, given_a_ledger, job, rung};

fn error() -> JobError {
    JobError { kind: ErrorKind::Transient, message: "the GPU hiccuped".to_owned() }
}

#[tokio::test]
async fn a_result_is_recorded_once_and_told_with_the_time_it_took() {
    let given = given_a_ledger().await;
    let id = given.accept(job("works")).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);
    let completed = || Outcome::Completed { result: Some(json!({ "loss": null, "n": 1 })) };

    let change = given.settle(&claimed, completed()).await;
    let again = given.settle(&claimed, completed()).await;

    assert!(again.unsent.is_empty(), "a second settlement changes nothing");
    let job = given.find(id).await;
    assert_eq!(
        (job.state, job.result),
        (JobState::Completed, Some(json!({ "loss": null, "n": 1 })))
    );
    let event = change.events().next().unwrap();
    assert_eq!(event.details["execution_time"], 1.5);
    assert_eq!(event.details["result"], json!({ "loss": null, "n": 1 }));
    assert_eq!(event.details["gpu_id"], 0);
    assert_eq!(given.kinds(id).await, ["queued", "running", "completed"]);
}

#[tokio::test]
async fn a_large_result_is_kept_whole_and_told_by_its_address() {
    let given = given_a_ledger().await;
    let id = given.accept(job("verbose")).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);
    let result = json!("x".repeat(70_000));

    let change = given.settle(&claimed, Outcome::Completed { result: Some(result.clone()) }).await;

    let event = change.events().next().unwrap();
    assert_eq!(event.details["result_url"], format!("/jobs/{id}/result"));
    assert!(!event.details.contains_key("result"));
    assert_eq!(given.find(id).await.result, Some(result));
}

#[tokio::test]
async fn a_superseded_attempt_changes_nothing() {
    let given = given_a_ledger().await;
    let id = given.accept(job("taken away")).await;
    let first = given.claim(a_worker(), 1).await.remove(0);
    drop(given.settle(&first, Outcome::Released).await);
    let second = given.claim(a_worker(), 1).await.remove(0);

    let late = given.settle(&first, Outcome::Completed { result: Some(json!("zombie")) }).await;

    assert!(late.unsent.is_empty());
    assert_eq!(second.lease.attempt, 2);
    let job = given.find(id).await;
    assert_eq!((job.state, job.attempt, job.failures), (JobState::Running, 2, 0));
}

#[tokio::test]
async fn a_retry_waits_out_its_backoff_and_counts_a_failure() {
    let given = given_a_ledger().await;
    let id = given.accept(job("flaky")).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);

    let after = Duration::from_secs(5);
    drop(given.settle(&claimed, Outcome::Retry { after, error: error() }).await);

    let job = given.find(id).await;
    assert_eq!((job.state, job.failures), (JobState::Scheduled, 1));
    assert_eq!(job.error, Some(error()));
    assert!(given.claim(a_worker(), 1).await.is_empty());
    given.advance(after).await;
    given.ledger.promote().await.map(drop).unwrap();
    assert_eq!(given.claim(a_worker(), 1).await[0].failures, 1);
    assert_eq!(given.kinds(id).await, ["queued", "running", "scheduled", "queued", "running"]);
}

#[tokio::test]
async fn a_failed_job_says_why() {
    let given = given_a_ledger().await;
    let id = given.accept(job("doomed")).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);

    let change = given.settle(&claimed, Outcome::Failed { error: error() }).await;

    let event = change.events().next().unwrap();
    assert_eq!(
        event.details["error"],
        json!({ "type": "transient", "message": "the GPU hiccuped" })
    );
    let job = given.find(id).await;
    assert_eq!((job.state, job.error), (JobState::Failed, Some(error())));
}

#[tokio::test]
async fn a_released_job_waits_again_uncharged_and_rings_its_lane() {
    let given = given_a_ledger().await;
    let id = given.accept(NewJob { priority: 7, ..job("interrupted") }).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);

    let change = given.settle(&claimed, Outcome::Released).await;

    assert_eq!(rung(&change), ["default"]);
    let job = given.find(id).await;
    assert_eq!((job.state, job.failures), (JobState::Queued, 0));
    assert_eq!(given.kinds(id).await, ["queued", "running", "released"]);
}

#[tokio::test]
async fn an_attempt_that_would_be_repeated_ends_a_job_whose_end_was_asked_for() {
    for outcome in [Outcome::Released, Outcome::Retry { after: Duration::ZERO, error: error() }] {
        let given = given_a_ledger().await;
        let id = given.accept(job("unwanted")).await;
        let claimed = given.claim(a_worker(), 1).await.remove(0);
        given.ledger.cancel(&claimed_tenant(), id).await.map(drop).unwrap();

        drop(given.settle(&claimed, outcome).await);

        assert_eq!(given.find(id).await.state, JobState::Cancelled);
        assert_eq!(given.kinds(id).await, ["queued", "running", "cancel_requested", "cancelled"]);
    }
}

fn claimed_tenant() -> jetlane_core::domain::TenantName {
    jetlane_core::domain::TenantName::default()
}

fn settlement(claimed: &Claimed, outcome: Outcome) -> Settlement {
    Settlement {
        lease: claimed.lease,
        frees: claimed.frees,
        outcome,
        execution_time: Duration::from_millis(1),
    }
}

#[tokio::test]
async fn attempts_settled_together_fare_each_for_itself() {
    let given = given_a_ledger().await;
    let mut ids = Vec::new();
    for name in ["works", "tries again", "fails", "taken away"] {
        ids.push(given.accept(job(name)).await);
    }
    let claimed = given.claim(a_worker(), 4).await;
    drop(given.settle(&claimed[3], Outcome::Released).await);
    let after = Duration::from_mins(1);
    let settlements = vec![
        settlement(&claimed[3], Outcome::Completed { result: None }),
        settlement(&claimed[2], Outcome::Failed { error: error() }),
        settlement(&claimed[1], Outcome::Retry { after, error: error() }),
        settlement(&claimed[0], Outcome::Completed { result: Some(json!({ "n": null })) }),
    ];

    let change = given.ledger.settle(settlements).await.unwrap();

    let told: Vec<_> = change.events().map(|event| event.job_id).collect();
    assert_eq!(told, ids[..3], "nothing of the one that was taken away");
    let mut states = Vec::new();
    for id in &ids {
        states.push(given.find(*id).await.state);
    }
    let [completed, scheduled, failed, queued] =
        [JobState::Completed, JobState::Scheduled, JobState::Failed, JobState::Queued];
    assert_eq!(states, [completed, scheduled, failed, queued]);
    assert_eq!(given.find(ids[0]).await.result, Some(json!({ "n": null })));
    assert_eq!(given.find(ids[0]).await.error, None);
    assert_eq!(given.find(ids[1]).await.error, Some(error()));
    assert_eq!(given.find(ids[2]).await.failures, 1);
}

#[tokio::test]
async fn of_two_attempts_of_one_job_settled_together_the_later_counts() {
    let given = given_a_ledger().await;
    let id = given.accept(job("again")).await;
    let first = given.claim(a_worker(), 1).await.remove(0);
    drop(given.settle(&first, Outcome::Released).await);
    let second = given.claim(a_worker(), 1).await.remove(0);
    let brings = |n| Outcome::Completed { result: Some(json!(n)) };
    let settlements = vec![
        settlement(&first, brings(1)),
        settlement(&second, brings(2)),
        settlement(&first, brings(1)),
    ];

    let change = given.ledger.settle(settlements).await.unwrap();

    let told: Vec<_> = change.events().map(|event| (event.job_id, event.attempt)).collect();
    assert_eq!(told, [(id, 2)]);
    assert_eq!(given.find(id).await.result, Some(json!(2)));
}

/// Each locks many of the same rows.
#[tokio::test]
async fn settlements_and_renewals_do_not_wait_for_each_other() {
    let given = given_a_ledger().await;
    let worker = a_worker();
    let jobs = (0..40).map(|_| job("held")).collect();
    drop(given.ledger.accept(jobs).await.unwrap());
    for _ in 0..30 {
        let claimed = given.claim(worker, 40).await;
        assert_eq!(claimed.len(), 40);
        let held: Vec<_> =
            claimed.iter().rev().map(|job| Held { lease: job.lease, progress: None }).collect();
        let settlements = claimed.iter().map(|job| settlement(job, Outcome::Released)).collect();

        let (renewed, settled) = tokio::join!(
            given.ledger.renew(worker, &held, LEASE),
            given.ledger.settle(settlements)
        );

        renewed.unwrap();
        assert_eq!(settled.unwrap().events().count(), 40);
    }
}
