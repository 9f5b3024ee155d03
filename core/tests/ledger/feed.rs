use jetlane_core::domain::{JobId, JobState, NewJob, Outcome, TenantName};
use jetlane_core::store::{FeedFilter, FeedKey};
use uuid::Uuid;

use crate::given::{a_worker, given_a_ledger, job};

const START: FeedKey = FeedKey { xid: 0, job_id: JobId(Uuid::nil()), seq: 0 };

#[tokio::test]
async fn nothing_appears_below_the_mark_whatever_order_transactions_commit_in() {
    let given = given_a_ledger().await;
    // A transaction that began to write earlier and commits later.
    let mut slow = given.pool.begin().await.unwrap();
    let slow_xid: i64 =
        sqlx::query_scalar("SELECT ledger_xid()").fetch_one(&mut *slow).await.unwrap();
    given.accept(job("quick")).await;

    let head = given.ledger.feed_head(0).await.unwrap();
    slow.commit().await.unwrap();

    assert_eq!(head.keys.len(), 1);
    assert!(head.keys[0].xid > slow_xid);
    assert!(head.low_water <= slow_xid, "the mark waits for the slow transaction");
    // The mark is the whole server's: other tests' transactions hold it back too.
    let rises = async {
        while given.ledger.feed_head(0).await.unwrap().low_water <= head.keys[0].xid {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), rises).await.unwrap();
}

#[tokio::test]
async fn a_replay_in_pages_is_the_replay_in_one() {
    let given = given_a_ledger().await;
    for _ in 0..7 {
        given.accept(job("told")).await;
    }
    for claimed in given.claim(a_worker(), 4).await {
        drop(given.settle(&claimed, Outcome::Completed { result: None }).await);
    }
    let (tenant, filter) = (TenantName::default(), FeedFilter::default());

    let whole = given.ledger.replay(&tenant, &filter, START, i64::MAX, 1000).await.unwrap();
    let (mut paged, mut after) = (Vec::new(), START);
    loop {
        let page = given.ledger.replay(&tenant, &filter, after, i64::MAX, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = FeedKey { xid: last.xid, job_id: last.job_id, seq: last.seq };
        paged.extend(page);
    }

    assert_eq!(whole.len(), 7 + 4 + 4);
    assert_eq!(paged, whole);
}

#[tokio::test]
async fn a_replay_keeps_to_tenant_and_filter() {
    let given = given_a_ledger().await;
    let mine = given.accept(job("mine")).await;
    given.accept(NewJob { tenant: "other".parse().unwrap(), ..job("theirs") }).await;
    let claimed = given.claim(a_worker(), 1).await.remove(0);
    let tenant = TenantName::default();

    let filter = FeedFilter { state: Some(JobState::Running), ..FeedFilter::default() };
    let running = given.ledger.replay(&tenant, &filter, START, i64::MAX, 100).await.unwrap();
    let filter = FeedFilter { job_ids: vec![mine], ..FeedFilter::default() };
    let of_mine = given.ledger.replay(&tenant, &filter, START, i64::MAX, 100).await.unwrap();

    assert_eq!(claimed.lease.job_id, mine);
    assert_eq!(running.iter().map(|event| event.job_id).collect::<Vec<_>>(), [mine]);
    assert_eq!(of_mine.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2]);
}
