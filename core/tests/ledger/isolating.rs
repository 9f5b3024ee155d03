//! Jobs that workers die of.

use std::time::Duration;

use jetlane_core::domain::{
    Claimed, ErrorKind, JobId, JobState, LaneName, LanePatch, Lease, NewJob, Rate, TenantName,
    WorkerId,
};
use jetlane_core::store::Claim;

use crate::given::{Given, LEASE, a_worker, given_a_settled_server, job, rung};

const SILENCE: Duration = Duration::from_secs(4);

async fn alive(given: &Given) -> WorkerId {
    let worker = a_worker();
    given.ledger.register_worker(worker, 4).await.unwrap();
    worker
}

/// The job that the worker had reserved.
async fn claimed_alone(given: &Given, worker: WorkerId) -> Option<Claimed> {
    let lane = LaneName::default();
    given.ledger.claim_isolated(&lane, worker, 2, LEASE).await.unwrap()?.jobs.pop()
}

/// Has workers die with the job, the last of them alone with it.
async fn given_deaths(given: &Given, id: JobId, deaths: u32) {
    for death in 0..deaths {
        let worker = alive(given).await;
        let lane = LaneName::default();
        if death < 2 {
            assert_eq!(given.claim(worker, 1).await[0].lease.job_id, id);
        } else {
            assert!(given.ledger.reserve_isolated(&lane, worker).await.unwrap());
            assert_eq!(claimed_alone(given, worker).await.unwrap().lease.job_id, id);
        }
        given.advance(Duration::from_mins(10) * (death + 1)).await;
        let reaped = given.ledger.reap(SILENCE).await.unwrap();
        assert_eq!(reaped.change.events().count(), 1);
    }
}

#[tokio::test]
async fn a_job_that_was_there_at_two_deaths_is_given_to_one_worker_alone() {
    let given = given_a_settled_server().await;
    let id = given.accept(job("suspect")).await;
    given.advance(Duration::from_secs(20)).await;
    given_deaths(&given, id, 2).await;
    let (one, other, lane) = (alive(&given).await, alive(&given).await, LaneName::default());
    given.accept(job("long")).await;
    assert_eq!(given.claim(other, 1).await.len(), 1);

    let claims = given.claim_all(one, 4).await;
    let is_reserved = given.ledger.reserve_isolated(&lane, one).await.unwrap();
    let is_reserved_twice = given.ledger.reserve_isolated(&lane, other).await.unwrap();
    let not_reserved = claimed_alone(&given, other).await;
    let claimed = claimed_alone(&given, one).await.expect("it was reserved");

    assert!(claims.jobs.is_empty() && claims.sight.any_isolated);
    assert!(is_reserved && !is_reserved_twice && not_reserved.is_none());
    assert_eq!((claimed.lease.job_id, claimed.lease.attempt, claimed.gpu_id), (id, 3, 2));
    assert_eq!(given.find(id).await.failures, 0);
}

#[tokio::test]
async fn a_reservation_ends_with_its_worker() {
    let given = given_a_settled_server().await;
    let id = given.accept(job("suspect")).await;
    given.advance(Duration::from_secs(20)).await;
    given_deaths(&given, id, 2).await;
    let (one, other, lane) = (alive(&given).await, a_worker(), LaneName::default());
    assert!(given.ledger.reserve_isolated(&lane, one).await.unwrap());

    given.advance(Duration::from_hours(2)).await;

    assert!(given.ledger.reserve_isolated(&lane, other).await.unwrap());
}

#[tokio::test]
async fn a_third_death_quarantines_the_job_and_a_redrive_forgives_it() {
    let given = given_a_settled_server().await;
    let id = given.accept(job("deadly")).await;
    given.advance(Duration::from_secs(20)).await;

    given_deaths(&given, id, 3).await;

    let dead = given.find(id).await;
    assert_eq!((dead.state, dead.error.unwrap().kind), (JobState::Failed, ErrorKind::Quarantined));
    let change = given.ledger.redrive(&TenantName::default(), vec![id]).await.unwrap();
    assert_eq!(change.events().count(), 1);
    assert_eq!(given.claim(a_worker(), 1).await[0].lease.attempt, 4, "attempts are never reused");
}

#[tokio::test]
async fn leases_that_lapse_under_a_living_worker_are_no_deaths() {
    let given = given_a_settled_server().await;
    let worker = alive(&given).await;
    let id = given.accept(job("cut off")).await;
    for round in 1..=4 {
        assert_eq!(given.claim(worker, 1).await[0].lease.job_id, id, "round {round}");
        given.advance((LEASE + Duration::from_mins(1)) * round).await;
        given.ledger.renew(worker, &[], LEASE).await.unwrap();

        let reaped = given.ledger.reap(SILENCE).await.unwrap();

        assert_eq!(reaped.change.events().count(), 1);
    }
    assert_eq!(given.find(id).await.state, JobState::Queued);
}

#[tokio::test]
async fn an_idle_worker_takes_over_from_one_that_still_makes_room() {
    let given = given_a_settled_server().await;
    let id = given.accept(job("suspect")).await;
    given.advance(Duration::from_secs(20)).await;
    given_deaths(&given, id, 2).await;
    let (busy, idle, lane) = (alive(&given).await, alive(&given).await, LaneName::default());
    given.accept(job("long")).await;
    assert_eq!(given.claim(busy, 1).await.len(), 1);
    assert!(given.ledger.reserve_isolated(&lane, busy).await.unwrap());

    assert!(given.ledger.reserve_isolated(&lane, idle).await.unwrap());
    assert!(!given.ledger.reserve_isolated(&lane, busy).await.unwrap());

    assert!(claimed_alone(&given, busy).await.is_none());
    assert_eq!(claimed_alone(&given, idle).await.unwrap().lease.job_id, id);
}

#[tokio::test]
async fn an_idle_worker_takes_over_from_one_that_reserved_and_did_not_come() {
    let given = given_a_settled_server().await;
    let id = given.accept(job("suspect")).await;
    given.advance(Duration::from_secs(20)).await;
    given_deaths(&given, id, 2).await;
    let (absent, idle, lane) = (alive(&given).await, alive(&given).await, LaneName::default());
    assert!(given.ledger.reserve_isolated(&lane, absent).await.unwrap());

    assert!(given.ledger.reserve_isolated(&lane, idle).await.unwrap());

    assert_eq!(claimed_alone(&given, idle).await.unwrap().lease.job_id, id);
}

#[tokio::test]
async fn a_job_that_is_to_run_alone_and_cannot_be_read_is_claimed_to_be_failed() {
    let given = given_a_settled_server().await;
    let id = given.accept(job("suspect")).await;
    given.advance(Duration::from_secs(20)).await;
    given_deaths(&given, id, 2).await;
    let (worker, lane) = (alive(&given).await, LaneName::default());
    sqlx::query("UPDATE jobs SET tool = 'unheard-of'").execute(&given.pool).await.unwrap();
    assert!(given.ledger.reserve_isolated(&lane, worker).await.unwrap());

    let claimed = given.ledger.claim_isolated(&lane, worker, 0, LEASE).await.unwrap();

    let claims = claimed.expect("it is claimed all the same");
    assert!(claims.jobs.is_empty());
    assert_eq!(claims.unreadable[0].lease, Lease { job_id: id, attempt: 3 });
}

/// A job that is to run alone, in a lane that lets one job start every two
/// seconds: the lane's next start is to come.
async fn given_a_rate(given: &Given) -> JobId {
    let id = given.accept(job("suspect")).await;
    given.advance(Duration::from_secs(20)).await;
    given_deaths(given, id, 2).await;
    let rate = Rate { per_second: 0.5, burst: 1 };
    let patch = LanePatch { rate: Some(Some(rate)), ..LanePatch::default() };
    drop(given.ledger.update_lane(&LaneName::default(), patch).await.unwrap());
    id
}

#[tokio::test]
async fn a_job_that_runs_alone_takes_its_part_of_the_lanes_rate() {
    let given = given_a_settled_server().await;
    let id = given_a_rate(&given).await;
    let (worker, lane) = (alive(&given).await, LaneName::default());

    assert!(given.ledger.reserve_isolated(&lane, worker).await.unwrap());
    assert!(given.ledger.reserve_isolated(&lane, worker).await.unwrap(), "it has its token");

    given.accept(job("next")).await;
    let claims = given.claim_all(worker, 1).await;
    let wait = claims.sight.next_start_in.unwrap();
    assert!(claims.jobs.is_empty());
    assert!(wait > Duration::from_secs(1) && wait <= Duration::from_secs(2), "{wait:?}");
    assert_eq!(claimed_alone(&given, worker).await.unwrap().lease.job_id, id);
}

/// The lane's next start was given away just now.
async fn given_no_token(given: &Given) {
    sqlx::query("UPDATE lane_buckets SET tokens = 0").execute(&given.pool).await.unwrap();
}

#[tokio::test]
async fn nobody_makes_room_for_a_job_that_the_lanes_rate_does_not_let_start() {
    let given = given_a_settled_server().await;
    given_a_rate(&given).await;
    let (worker, lane) = (alive(&given).await, LaneName::default());
    given_no_token(&given).await;

    assert!(!given.ledger.reserve_isolated(&lane, worker).await.unwrap());

    let wait = given.claim_all(worker, 4).await.sight.next_start_in.unwrap();
    assert!(wait > Duration::from_secs(1) && wait <= Duration::from_secs(2), "{wait:?}");
    given.advance(Duration::from_mins(30)).await;
    assert!(given.ledger.reserve_isolated(&lane, worker).await.unwrap());
}

#[tokio::test]
async fn a_job_that_has_drawn_its_start_keeps_it_for_whoever_makes_room_next() {
    let given = given_a_settled_server().await;
    let id = given_a_rate(&given).await;
    let (one, other, lane) = (alive(&given).await, alive(&given).await, LaneName::default());
    assert!(given.ledger.reserve_isolated(&lane, one).await.unwrap());
    given_no_token(&given).await;

    drop(given.ledger.give_up_isolated(one).await.unwrap());

    assert!(given.claim_all(other, 4).await.sight.any_isolated);
    assert!(given.ledger.reserve_isolated(&lane, other).await.unwrap());
    assert_eq!(claimed_alone(&given, other).await.unwrap().lease.job_id, id);
}

/// Both wait for the lane's bucket, and the second one's view of the job is old.
#[tokio::test]
async fn of_two_busy_workers_that_reserve_a_job_at_the_same_time_one_gets_it() {
    let given = given_a_settled_server().await;
    given_a_rate(&given).await;
    sqlx::query("UPDATE lane_buckets SET tokens = 9, burst = 9")
        .execute(&given.pool)
        .await
        .unwrap();
    let lane = LaneName::default();
    let mut workers = Vec::new();
    for _ in 0..2 {
        let worker = alive(&given).await;
        claim_elsewhere(&given, worker).await;
        workers.push(worker);
    }
    let mut other = given.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM lane_buckets FOR UPDATE").execute(&mut *other).await.unwrap();

    let (one, two, ()) = tokio::join!(
        given.ledger.reserve_isolated(&lane, workers[0]),
        given.ledger.reserve_isolated(&lane, workers[1]),
        async {
            while waiting_for_a_lock(&given).await < 2 {
                tokio::task::yield_now().await;
            }
            other.rollback().await.unwrap();
        },
    );

    assert_eq!([one.unwrap(), two.unwrap()].iter().filter(|is_reserved| **is_reserved).count(), 1);
}

async fn waiting_for_a_lock(given: &Given) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE wait_event_type = 'Lock' AND datname = current_database()",
    )
    .fetch_one(&given.pool)
    .await
    .unwrap()
}

/// The worker runs a job of another lane.
async fn claim_elsewhere(given: &Given, worker: WorkerId) {
    let lane: LaneName = "elsewhere".parse().unwrap();
    given.ledger.register_lanes(std::slice::from_ref(&lane)).await.unwrap();
    given.accept(NewJob { lane: lane.clone(), ..job("long") }).await;
    let shares = vec![(TenantName::default(), 1)];
    let claim = Claim { lane, worker, shares, gpu_ids: vec![0], lease: LEASE };
    assert_eq!(given.ledger.claim(&claim).await.unwrap().jobs.len(), 1);
}

#[tokio::test]
async fn the_last_start_that_a_lane_allows_is_left_to_the_job_that_runs_alone() {
    let given = given_a_settled_server().await;
    given_a_rate(&given).await;
    let (worker, lane) = (alive(&given).await, LaneName::default());
    given.accept(job("other")).await;

    let claims = given.claim_all(worker, 4).await;

    assert!(claims.jobs.is_empty() && claims.sight.any_isolated);
    assert!(claims.sight.next_start_in > Some(Duration::ZERO), "when the other may start");
    assert!(given.ledger.reserve_isolated(&lane, worker).await.unwrap());
}

#[tokio::test]
async fn a_worker_that_has_reserved_a_job_keeps_to_it_though_a_better_one_comes() {
    let given = given_a_settled_server().await;
    let id = given.accept(job("suspect")).await;
    given.advance(Duration::from_secs(20)).await;
    given_deaths(&given, id, 2).await;
    let (worker, lane) = (alive(&given).await, LaneName::default());
    assert!(given.ledger.reserve_isolated(&lane, worker).await.unwrap());
    let better = given.accept(NewJob { priority: 5, ..job("better") }).await;
    let sql = "UPDATE jobs SET deaths = 2 WHERE id = $1";
    sqlx::query(sql).bind(better.0).execute(&given.pool).await.unwrap();

    assert!(given.ledger.reserve_isolated(&lane, worker).await.unwrap());

    assert_eq!(claimed_alone(&given, worker).await.unwrap().lease.job_id, id);
    assert!(claimed_alone(&given, worker).await.is_none(), "the better one was not reserved");
}

#[tokio::test]
async fn what_a_worker_gives_up_is_rung_for_and_can_be_reserved_by_a_busy_one() {
    let given = given_a_settled_server().await;
    let id = given.accept(job("suspect")).await;
    given.advance(Duration::from_secs(20)).await;
    given_deaths(&given, id, 2).await;
    let (one, busy, lane) = (alive(&given).await, alive(&given).await, LaneName::default());
    given.accept(job("long")).await;
    assert_eq!(given.claim(busy, 1).await.len(), 1);
    assert!(given.ledger.reserve_isolated(&lane, one).await.unwrap());
    let sight = given.claim_all(busy, 1).await.sight;
    assert!(!sight.any_isolated && sight.any_reserved);

    let change = given.ledger.give_up_isolated(one).await.unwrap();

    assert_eq!(rung(&change), ["default"]);
    let sight = given.claim_all(busy, 1).await.sight;
    assert!(sight.any_isolated && !sight.any_reserved);
    assert!(given.ledger.reserve_isolated(&lane, busy).await.unwrap());
    assert!(given.ledger.give_up_isolated(one).await.unwrap().unsent.is_empty());
}

#[tokio::test]
async fn what_a_dead_worker_made_room_for_is_rung_for_with_its_attempts() {
    let given = given_a_settled_server().await;
    let id = given.accept(job("suspect")).await;
    given.advance(Duration::from_secs(20)).await;
    given_deaths(&given, id, 2).await;
    let (dead, lane) = (alive(&given).await, LaneName::default());
    claim_elsewhere(&given, dead).await;
    assert!(given.ledger.reserve_isolated(&lane, dead).await.unwrap());

    given.advance(Duration::from_hours(2)).await;
    let reaped = given.ledger.reap(SILENCE).await.unwrap();

    let mut lanes = rung(&reaped.change);
    lanes.sort_unstable();
    assert_eq!(lanes, ["default", "elsewhere"]);
}
