//! What a system costs that has nothing to do.

use std::time::Duration;

use serde_json::json;

use crate::harness::TestApp;

/// Several sweeps.
const A_WHILE: Duration = Duration::from_secs(10);

/// Transactions of this database so far, the asking included.
async fn transactions(app: &TestApp) -> i64 {
    let count = sqlx::query_scalar(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database
         WHERE datname = current_database()",
    );
    count.fetch_one(&app.ledger).await.unwrap()
}

/// Servers keep their counts for a second before they tell them.
async fn settled(app: &TestApp) -> i64 {
    tokio::time::sleep(Duration::from_secs(2)).await;
    transactions(app).await
}

#[tokio::test]
async fn an_idle_worker_asks_the_ledger_no_more_often_than_the_sweep() {
    let app = TestApp::start().workers(1).var("POLL_INTERVAL", "2").await;
    let id = app.submit(json!({ "name": "before the rest" })).await;
    app.until_ended(&id).await;
    app.edges[0].process.kill().await;
    // Its servers tell their counts when they end.
    app.eventually("its connections are gone", async || {
        let left: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'jetlane-edge'",
        )
        .fetch_one(&app.ledger)
        .await
        .unwrap();
        (left == 0).then_some(())
    })
    .await;

    let before = settled(&app).await;
    tokio::time::sleep(A_WHILE).await;
    let asked = settled(&app).await - before;

    // In 12 s there are 6 or 7 sweeps. At each: a claim, a promotion, a reaping,
    // the outbox, the registration, with a look at the connection before each and
    // a reset after it: 17 to 20.
    // A worker that asked one thing each 100 ms would make 240 more by it alone.
    assert!(asked <= 7 * 20, "{asked} transactions in 12 s with a sweep of 2 s");
    assert!(asked >= 6, "the counter shows nothing: {asked}");
}
