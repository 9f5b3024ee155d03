use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use jetlane_core::domain::{
    ConcurrencyLimit, ErrorKind, JobError, JobId, JobPatch, NewJob, Outcome, TenantName,
};

use crate::given::{Given, a_worker, given_a_ledger, job, rung};

fn keyed(name: &str, priority: i32) -> NewJob {
    NewJob { concurrency_key: Some("model-7".to_owned()), priority, ..job(name) }
}

async fn next(given: &Given) -> Option<JobId> {
    given.claim(a_worker(), 9).await.first().map(|claimed| claimed.lease.job_id)
}

#[tokio::test]
async fn one_job_of_a_key_runs_at_a_time() {
    let given = given_a_ledger().await;
    let first = given.accept(keyed("first", 0)).await;
    let second = given.accept(keyed("second", 0)).await;

    let claimed = given.claim(a_worker(), 9).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].lease.job_id, first);
    assert_eq!(next(&given).await, None);

    let change = given.settle(&claimed[0], Outcome::Completed { result: None }).await;
    assert_eq!(rung(&change), ["default"], "the freed key rings the lane that waits for it");
    assert_eq!(next(&given).await, Some(second));
}

#[tokio::test]
async fn a_key_is_a_tenants_own() {
    let given = given_a_ledger().await;
    given.accept(keyed("mine", 0)).await;
    let other = Given::tenant("other");
    given.accept(NewJob { tenant: other.clone(), ..keyed("theirs", 0) }).await;

    let shares = vec![(TenantName::default(), 5), (other, 5)];
    assert_eq!(given.claim_shares(a_worker(), shares, 9).await.jobs.len(), 2);
}

#[tokio::test]
async fn a_better_job_that_joins_goes_first() {
    let given = given_a_ledger().await;
    given.accept(keyed("low", 0)).await;
    let high = given.accept(keyed("high", 5)).await;

    assert_eq!(next(&given).await, Some(high));
}

#[tokio::test]
async fn a_job_made_better_while_it_is_held_back_goes_first() {
    let given = given_a_ledger().await;
    given.accept(keyed("first", 0)).await;
    let second = given.accept(keyed("second", 0)).await;

    let patch = JobPatch { priority: Some(9), ..JobPatch::default() };
    let change = given.ledger.update(&TenantName::default(), second, patch).await.unwrap();

    drop(change);
    assert_eq!(next(&given).await, Some(second));
}

#[tokio::test]
async fn cancelling_or_deleting_the_next_job_lets_the_one_behind_it_go() {
    for is_deleted in [false, true] {
        let given = given_a_ledger().await;
        let first = given.accept(keyed("first", 0)).await;
        let second = given.accept(keyed("second", 0)).await;

        let tenant = TenantName::default();
        if is_deleted {
            given.ledger.delete(&tenant, first).await.map(drop).unwrap();
        } else {
            given.ledger.cancel(&tenant, first).await.map(drop).unwrap();
        }

        assert_eq!(next(&given).await, Some(second));
    }
}

#[tokio::test]
async fn a_job_that_waits_out_a_backoff_does_not_keep_the_key() {
    let given = given_a_ledger().await;
    given.accept(keyed("flaky", 0)).await;
    let second = given.accept(keyed("second", 0)).await;
    let claimed = given.claim(a_worker(), 9).await.remove(0);

    let error = JobError { kind: ErrorKind::Transient, message: "again".to_owned() };
    let after = Duration::from_mins(1);
    drop(given.settle(&claimed, Outcome::Retry { after, error }).await);

    assert_eq!(next(&given).await, Some(second));
}

/// Submitters, claimers and settlers at once: never two of a key, and none is
/// left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_claimers_never_exceed_a_key_and_all_its_jobs_run() {
    const JOBS: usize = 40;

    let given = given_a_ledger().await;
    let (running, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let submit = async {
        join_all(
            (0..JOBS).map(|n| given.accept(keyed("contended", i32::try_from(n % 3).unwrap()))),
        )
        .await;
    };
    let work = join_all((0..6).map(|_| async {
        let worker = a_worker();
        while done.load(Ordering::SeqCst) < JOBS {
            for claimed in given.claim(worker, 4).await {
                assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two of one key ran");
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                drop(given.settle(&claimed, Outcome::Completed { result: None }).await);
                done.fetch_add(1, Ordering::SeqCst);
            }
            tokio::task::yield_now().await;
        }
    }));
    let both = async { tokio::join!(submit, work) };
    tokio::time::timeout(Duration::from_mins(1), both).await.unwrap();

    assert_eq!(done.load(Ordering::SeqCst), JOBS);
}

fn limited(given: &Given, limit: ConcurrencyLimit) -> impl Future<Output = Vec<String>> {
    let (ledger, name) = (given.ledger.clone(), "model-7".to_owned());
    async move {
        let change = ledger.limit_concurrency(&TenantName::default(), name, limit).await.unwrap();
        rung(&change).into_iter().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_lowered_limit_holds_also_for_jobs_that_are_released() {
    let given = given_a_ledger().await;
    limited(&given, ConcurrencyLimit::Parallel(3)).await;
    for n in 0..3 {
        given.accept(keyed(&n.to_string(), 0)).await;
    }
    let worker = a_worker();
    let claimed = given.claim(worker, 9).await;
    assert_eq!(claimed.len(), 3);

    limited(&given, ConcurrencyLimit::Parallel(1)).await;
    for job in &claimed {
        assert_eq!(next(&given).await, None, "others of the key still run");
        drop(given.settle(job, Outcome::Released).await);
    }
    let last = given.claim(worker, 9).await;
    assert_eq!(last.len(), 1);

    limited(&given, ConcurrencyLimit::Parallel(0)).await;
    drop(given.settle(&last[0], Outcome::Released).await);
    assert_eq!(next(&given).await, None);
}

#[tokio::test]
async fn as_many_jobs_of_a_key_run_at_once_as_its_limit_says() {
    let given = given_a_ledger().await;
    limited(&given, ConcurrencyLimit::Parallel(3)).await;
    for n in 0..5 {
        given.accept(keyed(&n.to_string(), 0)).await;
    }

    let claimed = given.claim(a_worker(), 9).await;
    assert_eq!(claimed.len(), 3);
    drop(given.settle(&claimed[0], Outcome::Completed { result: None }).await);

    assert_eq!(given.claim(a_worker(), 9).await.len(), 1);
}

#[tokio::test]
async fn a_key_with_limit_zero_runs_nothing_until_it_is_raised() {
    let given = given_a_ledger().await;
    given.accept(keyed("first", 0)).await;
    limited(&given, ConcurrencyLimit::Parallel(0)).await;
    given.accept(keyed("second", 0)).await;
    assert_eq!(next(&given).await, None);

    let rung = limited(&given, ConcurrencyLimit::Parallel(2)).await;

    assert_eq!(rung, ["default"], "once for both");
    assert_eq!(given.claim(a_worker(), 9).await.len(), 2);
}

#[tokio::test]
async fn a_sequential_key_waits_for_a_jobs_retries_and_a_parallel_one_does_not() {
    for (limit, runs_meanwhile) in
        [(ConcurrencyLimit::Sequential, false), (ConcurrencyLimit::Parallel(1), true)]
    {
        let given = given_a_ledger().await;
        limited(&given, limit).await;
        let first = given.accept(keyed("first", 0)).await;
        let better = given.accept(keyed("better, but later", 0)).await;
        let claimed = given.claim(a_worker(), 1).await.remove(0);
        given.ledger.update(&TenantName::default(), better, raise()).await.map(drop).unwrap();
        let error = JobError { kind: ErrorKind::Transient, message: "once".to_owned() };
        drop(given.settle(&claimed, Outcome::Retry { after: HOUR, error }).await);

        assert_eq!(next(&given).await == Some(better), runs_meanwhile, "{limit:?}");
        if !runs_meanwhile {
            given.advance(HOUR * 2).await;
            given.ledger.promote().await.map(drop).unwrap();
            assert_eq!(next(&given).await, Some(first));
        }
    }
}

const HOUR: Duration = Duration::from_hours(1);

fn raise() -> JobPatch {
    JobPatch { priority: Some(9), ..JobPatch::default() }
}

#[tokio::test]
async fn a_thousand_jobs_behind_a_key_are_in_no_index_that_a_claim_reads() {
    let given = given_a_ledger().await;
    given.accept(keyed("first", 0)).await;
    let behind = (0..1000).map(|_| keyed("behind", 0)).collect();
    given.ledger.accept(behind).await.map(drop).unwrap();

    assert_eq!(claimable(&given).await, 1);
}

async fn claimable(given: &Given) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM jobs WHERE state = 'queued' AND NOT held_by_key")
        .fetch_one(&given.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn each_key_of_a_batch_lets_go_of_as_many_jobs_as_it_has_room_for() {
    let given = given_a_ledger().await;
    limited(&given, ConcurrencyLimit::Parallel(3)).await;
    let of = |key: &str| NewJob { concurrency_key: Some(key.to_owned()), ..job("x") };
    given.accept(keyed("before", 0)).await;
    let batch = ["model-7", "a", "b", "model-7", "a", "model-7", "b"].map(of);

    let (_, change) = given.ledger.accept(batch.into()).await.unwrap();

    assert_eq!(rung(&change), ["default"]);
    assert_eq!(claimable(&given).await, 5, "two more of model-7, one of a, one of b");
}

#[tokio::test]
async fn batches_with_a_thousand_keys_each_do_not_wait_for_each_other() {
    let given = given_a_ledger().await;
    let accept = async |batch: usize| {
        let key = |n: usize| format!("{batch}/{n}");
        let jobs = (0..1000).map(|n| NewJob { concurrency_key: Some(key(n)), ..job("x") });
        given.ledger.accept(jobs.collect()).await.map(drop).unwrap();
    };

    join_all((0..4).map(accept)).await;

    assert_eq!(claimable(&given).await, 4000);
}

#[tokio::test]
async fn a_begun_job_of_a_sequential_key_keeps_its_turn_when_it_is_changed() {
    let given = given_a_ledger().await;
    limited(&given, ConcurrencyLimit::Sequential).await;
    let begun = given.accept(keyed("begun", 0)).await;
    given.accept(keyed("better", 5)).await;
    given.ledger.update(&TenantName::default(), begun, raise()).await.map(drop).unwrap();
    let claimed = given.claim(a_worker(), 1).await.remove(0);
    drop(given.settle(&claimed, Outcome::Released).await);

    let lower = JobPatch { priority: Some(-9), ..JobPatch::default() };
    given.ledger.update(&TenantName::default(), begun, lower).await.map(drop).unwrap();

    assert_eq!(next(&given).await, Some(begun));
}

/// The one behind it is locked by a change that is rolled back later.
#[tokio::test]
async fn a_job_that_nobody_let_go_is_let_go_by_the_next_look() {
    let given = given_a_ledger().await;
    given.accept(keyed("first", 0)).await;
    let second = given.accept(keyed("second", 0)).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);
    let mut change = given.pool.begin().await.unwrap();
    sqlx::query("UPDATE jobs SET name = 'changed' WHERE id = $1")
        .bind(second.0)
        .execute(&mut *change)
        .await
        .unwrap();
    let settled = given.settle(&claimed, Outcome::Completed { result: None }).await;
    change.rollback().await.unwrap();
    assert_eq!(rung(&settled), [""; 0]);
    assert_eq!(next(&given).await, None);

    let readmitted = given.ledger.readmit_stranded(None).await.unwrap();

    assert_eq!(rung(&readmitted.change), ["default"]);
    assert_eq!(readmitted.go_on, None);
    assert_eq!(next(&given).await, Some(second));
}

#[tokio::test]
async fn a_look_for_stranded_jobs_leaves_alone_who_waits_for_others_and_goes_on_where_it_ended() {
    let given = given_a_ledger().await;
    let of = |n: i32| NewJob { concurrency_key: Some(format!("key {n}")), ..job("x") };
    given.ledger.accept((0..600).chain(0..600).map(of).collect()).await.map(drop).unwrap();

    let one = given.ledger.readmit_stranded(None).await.unwrap();
    let other = given.ledger.readmit_stranded(one.go_on.clone()).await.unwrap();

    assert!(one.go_on.is_some() && other.go_on.is_none());
    assert!(one.change.unsent.is_empty() && other.change.unsent.is_empty());
}

#[tokio::test]
async fn a_limit_is_set_although_a_job_of_the_key_is_being_changed() {
    let given = given_a_ledger().await;
    let id = given.accept(keyed("first", 0)).await;
    let mut change = given.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM jobs WHERE id = $1 FOR UPDATE")
        .bind(id.0)
        .execute(&mut *change)
        .await
        .unwrap();

    let set = limited(&given, ConcurrencyLimit::Parallel(2));

    tokio::time::timeout(Duration::from_secs(3), set).await.expect("it waits for nobody");
    change.rollback().await.unwrap();
}
