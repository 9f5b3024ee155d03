//! Idempotency keys, batches, and lanes that are full.

use futures_util::future::join_all;
use jetlane_core::domain::{Idempotency, JobId, LanePatch, NewJob, TenantName};
use jetlane_core::store::{Acceptance, Refused, StoreError};

use crate::given::{Given, given_a_ledger, job};

fn named(key: &str, request: u8) -> NewJob {
    let idempotency = Idempotency { key: key.to_owned(), fingerprint: [request; 32] };
    NewJob { idempotency: Some(idempotency), ..job(key) }
}

async fn ask(given: &Given, new: NewJob) -> Acceptance {
    given.ledger.accept(vec![new]).await.unwrap().0.remove(0)
}

fn id(answer: &Acceptance) -> JobId {
    match answer {
        Acceptance::Accepted(job) | Acceptance::Repeated(job) => job.id,
        Acceptance::Refused(refused) => panic!("{refused:?}"),
    }
}

async fn jobs(given: &Given) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(&given.pool).await.unwrap()
}

#[tokio::test]
async fn the_same_request_again_is_the_same_job_as_it_was_at_first() {
    let given = given_a_ledger().await;
    let Acceptance::Accepted(first) = ask(&given, named("a", 1)).await else { panic!() };
    given.ledger.cancel(&TenantName::default(), first.id).await.map(drop).unwrap();

    let Acceptance::Repeated(again) = ask(&given, named("a", 1)).await else { panic!() };

    assert_eq!(again, first, "whatever has become of it");
    assert_eq!(jobs(&given).await, 1);
}

#[tokio::test]
async fn a_key_outlives_its_job() {
    let given = given_a_ledger().await;
    let first = ask(&given, named("a", 1)).await;
    given.ledger.delete(&TenantName::default(), id(&first)).await.map(drop).unwrap();

    let again = ask(&given, named("a", 1)).await;

    assert_eq!(id(&again), id(&first));
    assert_eq!(jobs(&given).await, 0);
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused() {
    let given = given_a_ledger().await;
    ask(&given, named("a", 1)).await;

    let answer = ask(&given, named("a", 2)).await;

    assert!(matches!(answer, Acceptance::Refused(Refused::KeyReused)), "{answer:?}");
    assert_eq!(jobs(&given).await, 1);
}

#[tokio::test]
async fn a_key_is_a_tenants_own() {
    let given = given_a_ledger().await;
    let mine = ask(&given, named("a", 1)).await;

    let theirs = NewJob { tenant: Given::tenant("other"), ..named("a", 2) };
    let theirs = ask(&given, theirs).await;

    assert!(matches!(theirs, Acceptance::Accepted(_)), "{theirs:?}");
    assert_ne!(id(&mine), id(&theirs));
}

#[tokio::test]
async fn duplicates_at_the_same_time_make_one_job() {
    let given = given_a_ledger().await;
    for round in 0..10 {
        let key = format!("round-{round}");
        let answers = join_all((0..12).map(|_| ask(&given, named(&key, 1)))).await;

        let new = answers.iter().filter(|answer| matches!(answer, Acceptance::Accepted(_)));
        assert_eq!(new.count(), 1);
        assert!(answers.iter().all(|answer| id(answer) == id(&answers[0])));
    }
    assert_eq!(jobs(&given).await, 10);
}

#[tokio::test]
async fn batches_with_the_same_keys_in_any_order_do_not_lock_each_other_out() {
    let given = given_a_ledger().await;
    let keys: Vec<_> = (0..40).map(|n| format!("k{n}")).collect();
    let batches = (0..8).map(|n| {
        let mut batch: Vec<_> = keys.iter().map(|key| named(key, 1)).collect();
        let middle = n * 5;
        batch.rotate_left(middle);
        if n % 2 == 0 {
            batch.reverse();
        }
        given.ledger.accept(batch)
    });

    let answers = join_all(batches).await;

    for answer in &answers {
        assert!(answer.is_ok(), "{answer:?}");
    }
    assert_eq!(jobs(&given).await, 40);
}

#[tokio::test]
async fn the_same_key_twice_in_a_batch_is_one_job() {
    let given = given_a_ledger().await;

    let (answers, _) =
        given.ledger.accept(vec![named("a", 1), named("b", 1), named("a", 1)]).await.unwrap();

    assert_eq!(id(&answers[0]), id(&answers[2]));
    assert_eq!(jobs(&given).await, 2);
}

#[tokio::test]
async fn of_a_batch_each_job_is_answered_for_itself() {
    let given = given_a_ledger().await;
    let lost = NewJob { lane: "nowhere".parse().unwrap(), ..job("lost") };

    let (answers, change) =
        given.ledger.accept(vec![job("one"), lost, job("three")]).await.unwrap();

    assert!(
        matches!(
            &answers[..],
            [Acceptance::Accepted(_), Acceptance::Refused(_), Acceptance::Accepted(_)]
        ),
        "{answers:?}"
    );
    assert_eq!(change.events().count(), 2);
}

#[tokio::test]
async fn all_or_nothing_writes_nothing_if_one_is_refused() {
    let given = given_a_ledger().await;
    let lost = NewJob { lane: "nowhere".parse().unwrap(), ..job("lost") };
    let keyed = NewJob { concurrency_key: Some("k".to_owned()), ..job("keyed") };

    let refused = given.ledger.accept_all(vec![named("a", 1), keyed, lost]).await;

    let Err(StoreError::NotAll(answers)) = refused else { panic!("{refused:?}") };
    assert!(
        matches!(
            &answers[..],
            [
                Acceptance::Refused(Refused::WithTheOthers),
                Acceptance::Refused(Refused::WithTheOthers),
                Acceptance::Refused(Refused::UnknownLane(_)),
            ]
        ),
        "{answers:?}"
    );
    assert_eq!(jobs(&given).await, 0);
    assert!(matches!(ask(&given, named("a", 2)).await, Acceptance::Accepted(_)), "the key is free");
}

#[tokio::test]
async fn a_full_lane_takes_no_more_of_the_tenant_that_filled_it() {
    let given = given_a_ledger().await;
    let patch = LanePatch { max_waiting: Some(Some(3)), ..LanePatch::default() };
    drop(given.ledger.update_lane(&"default".parse().unwrap(), patch).await.unwrap());

    let (answers, _) = given.ledger.accept((0..5).map(|_| job("many")).collect()).await.unwrap();
    let theirs = ask(&given, NewJob { tenant: Given::tenant("other"), ..job("theirs") }).await;

    let accepted = answers.iter().filter(|a| matches!(a, Acceptance::Accepted(_))).count();
    assert_eq!(accepted, 3);
    assert!(matches!(answers[4], Acceptance::Refused(Refused::LaneFull { limit: 3, .. })));
    assert!(matches!(theirs, Acceptance::Accepted(_)));
}

#[tokio::test]
async fn a_repeated_request_is_answered_although_its_lane_is_full() {
    let given = given_a_ledger().await;
    let patch = LanePatch { max_waiting: Some(Some(1)), ..LanePatch::default() };
    drop(given.ledger.update_lane(&"default".parse().unwrap(), patch).await.unwrap());
    let first = ask(&given, named("a", 1)).await;

    assert_eq!(id(&ask(&given, named("a", 1)).await), id(&first));
}

#[tokio::test]
async fn a_resent_batch_takes_room_for_its_new_jobs_only() {
    let given = given_a_ledger().await;
    let patch = LanePatch { max_waiting: Some(Some(3)), ..LanePatch::default() };
    drop(given.ledger.update_lane(&"default".parse().unwrap(), patch).await.unwrap());
    given.ledger.accept(vec![named("a", 1), named("b", 1)]).await.map(drop).unwrap();

    let batch = vec![named("a", 1), named("b", 1), named("c", 1), named("d", 1)];
    let (answers, _) = given.ledger.accept(batch).await.unwrap();

    assert!(
        matches!(
            answers[..],
            [
                Acceptance::Repeated(_),
                Acceptance::Repeated(_),
                Acceptance::Accepted(_),
                Acceptance::Refused(Refused::LaneFull { limit: 3, .. }),
            ]
        ),
        "{answers:?}"
    );
}
