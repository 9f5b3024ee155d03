use std::time::Duration;

use jetlane_core::domain::{JobState, LaneName, TenantName};
use jetlane_core::store::{Claim, Held, Ledger, connect, migrate};
use jetlane_devstack::{Data, Postgres, Settings};
use tokio::time::timeout;

use crate::given::{
    LEASE, a_pool, a_worker, given_a_settled_server, job, rung, settings, until_settled,
};

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

/// A server of its own: none of its sessions can commit for a while.
#[tokio::test]
async fn while_the_ledger_does_not_commit_nobody_is_taken_for_dead() {
    let own = Settings::from_env().unwrap().without_given();
    let server = Postgres::start(&own, &Data::Temporary).await.unwrap();
    migrate(server.admin_url()).await.unwrap();
    let pool = a_pool(server.admin_url());
    let ledger = Ledger::new(connect(&settings(server.admin_url(), 4)).await.unwrap());
    let worker = a_worker();
    ledger.register_worker(worker, 1).await.unwrap();
    let kept = job("kept");
    drop(ledger.accept(vec![kept.clone()]).await.unwrap());
    let claim = Claim {
        lane: LaneName::default(),
        worker,
        shares: vec![(TenantName::default(), 1)],
        gpu_ids: vec![0],
        lease: LEASE,
    };
    assert_eq!(ledger.claim(&claim).await.unwrap().jobs.len(), 1);
    until_settled(&pool).await;

    // Commits wait for a standby that does not exist.
    for statement in
        ["ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()"]
    {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let a_moment = Duration::from_secs(1);
    let until_stuck =
        async { while timeout(a_moment, ledger.register_worker(a_worker(), 1)).await.is_ok() {} };
    timeout(Duration::from_secs(20), until_stuck).await.unwrap();
    let reaped = ledger.reap(SILENCE).await;

    assert!(reaped.is_err_and(|error| error.is_unavailable()));
    let job = ledger.find(&TenantName::default(), kept.id).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Running);

    for statement in ["ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let reaped = ledger.reap(SILENCE).await.unwrap();
    assert_eq!(reaped.change.events().count(), 1, "it was silent all the same");
    ledger.close().await;
    server.stop().await.unwrap();
}
