//! Each test has a database of its own. Every test below has a runtime of its own, too.

use std::sync::atomic::{AtomicU32, Ordering};

use jetlane_devstack::{TestDatabase, database};
use sqlx::{Connection, PgConnection};

static PREPARED: AtomicU32 = AtomicU32::new(0);

async fn prepared_database() -> TestDatabase {
    let prepare = async |url: String| {
        PREPARED.fetch_add(1, Ordering::Relaxed);
        let mut connection = PgConnection::connect(&url).await?;
        sqlx::query("CREATE TABLE jobs (id int)").execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    };
    database(prepare).await.unwrap()
}

/// Adds a row, and returns how many there are.
async fn rows_after_one_more(database: &TestDatabase) -> i64 {
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    sqlx::query("INSERT INTO jobs VALUES (1)").execute(&mut connection).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(&mut connection).await.unwrap()
}

/// Holds two at a time, so that on a given server the template is not made anew in between.
async fn databases_are_independent() {
    let (one, two) = tokio::join!(prepared_database(), prepared_database());

    assert_eq!(rows_after_one_more(&one).await, 1);
    assert_eq!(rows_after_one_more(&two).await, 1);
    assert_eq!(rows_after_one_more(&one).await, 2);
}

#[tokio::test]
async fn databases_of_one_runtime_are_independent() {
    databases_are_independent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_another_runtime_are_independent() {
    databases_are_independent().await;
}

#[test]
fn databases_outlive_the_runtime_that_started_the_server() {
    for _ in 0..3 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(databases_are_independent());
    }
}

#[tokio::test]
async fn the_template_is_prepared_once() {
    let held = prepared_database().await;
    let before = PREPARED.load(Ordering::Relaxed);
    drop(prepared_database().await);
    assert_eq!(PREPARED.load(Ordering::Relaxed), before);
    drop(held);
}
