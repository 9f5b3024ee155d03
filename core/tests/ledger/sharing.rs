//! Order and share: ranks, tenants, rates, pauses.

use std::time::Duration;

use jetlane_core::domain::{LaneName, LanePatch, NewJob, Rate, Share};
use jetlane_core::store::Sight;

use crate::given::{Given, a_worker, given_a_ledger, job, rung};

fn of(tenant: &str, name: &str) -> NewJob {
    NewJob { tenant: Given::tenant(tenant), ..job(name) }
}

async fn patch(given: &Given, patch: LanePatch) {
    drop(given.ledger.update_lane(&LaneName::default(), patch).await.unwrap());
}

#[tokio::test]
async fn a_claim_takes_of_each_tenant_what_it_was_told_to() {
    let given = given_a_ledger().await;
    for _ in 0..5 {
        given.accept(of("a", "x")).await;
        given.accept(of("b", "x")).await;
    }

    let shares = vec![(Given::tenant("b"), 3), (Given::tenant("a"), 1)];
    let claims = given.claim_shares(a_worker(), shares, 4).await;

    let whose: Vec<_> = claims.jobs.iter().map(|job| job.tenant.as_str()).collect();
    assert_eq!(whose, ["b", "b", "b", "a"]);
}

#[tokio::test]
async fn a_claim_sees_whose_jobs_wait() {
    let given = given_a_ledger().await;
    assert_eq!(given.claim_all(a_worker(), 1).await.sight, Sight::default());

    for tenant in ["c", "a", "b"] {
        given.accept(of(tenant, "x")).await;
    }
    let claims = given.claim_all(a_worker(), 1).await;

    assert!(claims.jobs.is_empty(), "none is the default tenant's");
    assert_eq!(claims.sight.tenants, Some((Given::tenant("a"), Given::tenant("c"))));
}

#[tokio::test]
async fn the_tenants_who_wait_are_found_with_their_shares() {
    let given = given_a_ledger().await;
    for tenant in ["c", "a", "a", "b"] {
        given.accept(of(tenant, "x")).await;
    }
    let lane = LaneName::default();
    let heavy = Share { tenant: Given::tenant("b"), weight: 7 };
    given.ledger.set_share(&lane, &heavy).await.unwrap();

    let found = given.ledger.shares(&lane, None).await.unwrap();
    let found_after = given.ledger.shares(&lane, Some(&Given::tenant("b"))).await.unwrap();

    let found: Vec<_> = found.iter().map(|s| (s.tenant.as_str(), s.weight)).collect();
    assert_eq!(found, [("a", 1), ("b", 7), ("c", 1)]);
    let found_after: Vec<_> = found_after.iter().map(|s| s.tenant.as_str()).collect();
    assert_eq!(found_after, ["c", "a", "b"], "and round");
}

#[tokio::test]
async fn with_ageing_a_job_that_waited_long_enough_overtakes_a_better_one() {
    let given = given_a_ledger().await;
    patch(&given, LanePatch { ageing: Some(Some(60)), ..LanePatch::default() }).await;
    let old = given.accept(job("old")).await;
    given.advance(Duration::from_secs(90)).await;
    let better_by_two = given.accept(NewJob { priority: 2, ..job("better") }).await;
    let better_by_one = given.accept(NewJob { priority: 1, ..job("good") }).await;

    let claimed = given.claim(a_worker(), 3).await;

    let order: Vec<_> = claimed.iter().map(|claimed| claimed.lease.job_id).collect();
    assert_eq!(order, [better_by_two, old, better_by_one], "90 s are worth 1.5 steps");
}

#[tokio::test]
async fn a_faster_rate_counts_from_when_it_is_set() {
    let given = given_a_ledger().await;
    let set = async |per_second| {
        let rate = Rate { per_second, burst: 100 };
        patch(&given, LanePatch { rate: Some(Some(rate)), ..LanePatch::default() }).await;
    };
    set(0.001).await;
    for _ in 0..120 {
        given.accept(job("x")).await;
    }
    assert_eq!(given.claim_all(a_worker(), 120).await.jobs.len(), 100);

    given.advance(Duration::from_secs(20)).await;
    set(10.0).await;

    assert!(given.claim_all(a_worker(), 20).await.jobs.is_empty());
}

#[tokio::test]
async fn a_rate_lets_no_more_start_than_it_says_and_tells_when_the_next_may() {
    let given = given_a_ledger().await;
    let rate = Rate { per_second: 2.0, burst: 3 };
    patch(&given, LanePatch { rate: Some(Some(rate)), ..LanePatch::default() }).await;
    for _ in 0..10 {
        given.accept(job("x")).await;
    }

    let burst = given.claim_all(a_worker(), 8).await;
    let too_early = given.claim_all(a_worker(), 8).await;
    given.advance(Duration::from_millis(1100)).await;
    let later = given.claim_all(a_worker(), 8).await;

    assert_eq!((burst.jobs.len(), too_early.jobs.len(), later.jobs.len()), (3, 0, 2));
    let wait = burst.sight.next_start_in.unwrap();
    assert!((Duration::from_millis(400)..=Duration::from_millis(500)).contains(&wait), "{wait:?}");
}

#[tokio::test]
async fn parallel_claimers_do_not_exceed_a_rate() {
    let given = given_a_ledger().await;
    let rate = Rate { per_second: 0.001, burst: 10 };
    patch(&given, LanePatch { rate: Some(Some(rate)), ..LanePatch::default() }).await;
    for _ in 0..40 {
        given.accept(job("x")).await;
    }

    let claims = futures_util::future::join_all((0..12).map(|_| given.claim(a_worker(), 3))).await;

    assert_eq!(claims.iter().map(Vec::len).sum::<usize>(), 10);
}

#[tokio::test]
async fn a_claim_that_began_earlier_gives_no_time_of_a_rate_back() {
    let given = given_a_ledger().await;
    let rate = Rate { per_second: 1.0, burst: 5 };
    patch(&given, LanePatch { rate: Some(Some(rate)), ..LanePatch::default() }).await;
    for _ in 0..20 {
        given.accept(job("x")).await;
    }
    assert_eq!(given.claim(a_worker(), 8).await.len(), 5);
    let claim_at = async |seconds| {
        given.advance(Duration::from_secs(seconds)).await;
        given.claim(a_worker(), 8).await.len()
    };

    assert_eq!(claim_at(104).await, 5);
    // As one does that waited for the other.
    assert_eq!(claim_at(100).await, 0);

    assert_eq!(claim_at(104).await, 0, "four seconds were counted twice");
}

#[tokio::test]
async fn a_paused_lane_gives_nothing_and_a_resumed_one_rings() {
    let given = given_a_ledger().await;
    given.accept(job("x")).await;
    let lane = LaneName::default();

    given.ledger.pause_lane(&lane).await.unwrap();
    let while_paused = given.claim(a_worker(), 1).await;
    let resumed = given.ledger.resume_lane(&lane).await.unwrap();
    let again = given.ledger.resume_lane(&lane).await.unwrap();

    assert!(while_paused.is_empty());
    assert_eq!(rung(&resumed), ["default"]);
    assert!(again.unsent.is_empty());
    assert_eq!(given.claim(a_worker(), 1).await.len(), 1);
}
