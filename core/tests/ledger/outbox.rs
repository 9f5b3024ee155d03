use std::time::Duration;

use jetlane_core::domain::Unsent;

use crate::given::{given_a_ledger, job};

const HOLD: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_row_is_due_only_after_its_committer_had_time_and_is_taken_by_one_relay() {
    let given = given_a_ledger().await;
    let (_, change) = given.accepted(job("owed")).await;

    assert!(given.ledger.take_due(10, HOLD).await.unwrap().rows.is_empty());
    given.advance(Duration::from_secs(2)).await;
    let taken = given.ledger.take_due(10, HOLD).await.unwrap().rows;
    let by_another = given.ledger.take_due(10, HOLD).await.unwrap().rows;

    let owed: Vec<_> = taken.into_iter().map(|due| due.owed.unwrap()).collect();
    assert_eq!(owed, change.unsent, "as it was owed at first");
    assert!(by_another.is_empty());
    given.advance(Duration::from_secs(8)).await;
    assert_eq!(
        given.ledger.take_due(10, HOLD).await.unwrap().rows.len(),
        1,
        "a relay died with it"
    );
}

#[tokio::test]
async fn what_jobs_accepted_together_owe_is_one_row() {
    let given = given_a_ledger().await;
    let jobs = vec![job("one"), job("two"), job("three")];
    let (_, change) = given.ledger.accept(jobs).await.unwrap();

    given.advance(Duration::from_secs(2)).await;
    let taken = given.ledger.take_due(1, HOLD).await.unwrap().rows;

    let id = change.unsent[0].outbox_id;
    assert!(taken.iter().all(|due| due.outbox_id == id), "{taken:?}");
    let owed: Vec<_> = taken.into_iter().map(|due| due.owed.unwrap()).collect();
    let events = |unsent: &[Unsent]| {
        unsent.iter().filter_map(|unsent| unsent.event.clone()).collect::<Vec<_>>()
    };
    assert_eq!(events(&owed), events(&change.unsent));
    let rings = owed.iter().filter(|unsent| unsent.ring.is_some()).count();
    assert_eq!(rings, 1, "one bell says it all");
    given.ledger.strike_out(&[id]).await.unwrap();
    assert_eq!(given.ledger.take_due(1, HOLD).await.unwrap().next_due_in, None);
}

#[tokio::test]
async fn what_is_struck_out_is_owed_no_more() {
    let given = given_a_ledger().await;
    let (_, change) = given.accepted(job("sent")).await;

    let ids: Vec<_> = change.unsent.iter().map(|unsent| unsent.outbox_id).collect();
    given.ledger.strike_out(&ids).await.unwrap();

    assert_eq!(given.ledger.take_due(10, HOLD).await.unwrap().next_due_in, None);
}

#[tokio::test]
async fn a_row_refused_too_often_is_set_aside_and_blocks_nobody() {
    let given = given_a_ledger().await;
    let (_, change) = given.accepted(job("unsendable")).await;
    let ids: Vec<_> = change.unsent.iter().map(|unsent| unsent.outbox_id).collect();

    let mut aside = 0;
    for _ in 0..20 {
        aside += given.ledger.count_refusals(&ids).await.unwrap();
    }
    given.advance(Duration::from_mins(1)).await;

    assert_eq!(aside, 1);
    assert!(given.ledger.take_due(10, HOLD).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_told_apart_and_blocks_nobody() {
    let given = given_a_ledger().await;
    let bad = given.accept(job("of a newer release")).await;
    let good = given.accept(job("of this release")).await;
    sqlx::query("UPDATE job_events SET kind = 'unheard-of' WHERE job_id = $1")
        .bind(bad.0)
        .execute(&given.pool)
        .await
        .unwrap();

    given.advance(Duration::from_secs(2)).await;
    let taken = given.ledger.take_due(10, HOLD).await.unwrap().rows;

    let told: Vec<_> = taken
        .iter()
        .map(|due| due.owed.as_ref().ok().map(|owed| owed.event.as_ref().unwrap().job_id))
        .collect();
    assert_eq!(told, [None, Some(good)]);
}
