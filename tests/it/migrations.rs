//! The ledger's schema, from nothing and from every version before.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::harness::{TestApp, run_to_end, workspace};

async fn migrations() -> Migrator {
    Migrator::new(workspace().join("migrations")).await.unwrap()
}

/// The versions, oldest first.
fn versions(migrations: &Migrator) -> BTreeSet<i64> {
    migrations.iter().map(|migration| migration.version).collect()
}

/// Leaves nothing in the test's database.
async fn given_empty(app: &TestApp) {
    app.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
}

async fn migrate(app: &TestApp) -> String {
    let output = run_to_end(&app.program("migrate"), app.folder.path()).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Rows as an earlier version wrote them, their ids from 1 on.
fn samples(version: i64) -> String {
    let path = workspace().join(format!("tests/samples/{version:04}.sql"));
    std::fs::read_to_string(&path)
        .unwrap_or_else(|_| panic!("migration {version} has no sample rows: {}", path.display()))
}

async fn run_sql(connection: &mut PgConnection, text: String) {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await.unwrap();
}

#[tokio::test]
async fn migrating_an_empty_database_twice_is_fine() {
    let app = TestApp::start().edges(0).await;
    given_empty(&app).await;

    migrate(&app).await;
    migrate(&app).await;

    assert_eq!(app.count("lanes").await, 1);
}

#[tokio::test]
async fn processes_that_migrate_at_once_wait_for_each_other() {
    let app = TestApp::start().edges(0).await;
    given_empty(&app).await;

    tokio::join!(migrate(&app), migrate(&app), migrate(&app));

    assert_eq!(app.count("lanes").await, 1);
}

#[tokio::test]
async fn every_migration_can_be_undone_and_done_again() {
    let app = TestApp::start().edges(0).await;
    let migrations = migrations().await;
    let mut connection = app.ledger.acquire().await.unwrap();

    for version in versions(&migrations).into_iter().rev() {
        migrations.undo(&mut *connection, version - 1).await.unwrap();
        migrations.run(&mut *connection).await.unwrap();
    }

    assert_eq!(app.count("lanes").await, 1);
}

#[tokio::test]
async fn undoing_everything_leaves_nothing() {
    let app = TestApp::start().edges(0).await;
    let mut connection = app.ledger.acquire().await.unwrap();

    migrations().await.undo(&mut *connection, 0).await.unwrap();

    let left: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE '\\_sqlx%'
         UNION ALL
         SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    assert_eq!(left, [""; 0]);
}

#[tokio::test]
async fn rows_of_every_earlier_version_survive() {
    let app = TestApp::start().edges(0).await;
    given_empty(&app).await;
    let migrations = migrations().await;
    let mut connection = app.ledger.acquire().await.unwrap();

    for version in versions(&migrations) {
        migrations.run_to(version, &mut *connection).await.unwrap();
        run_sql(&mut connection, samples(version)).await;
    }
    let before: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM jobs").fetch_all(&mut *connection).await.unwrap();
    migrate(&app).await;
    let after: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM jobs").fetch_all(&mut *connection).await.unwrap();

    assert!(!before.is_empty());
    assert_eq!(after, before);
}

#[tokio::test]
async fn rows_of_every_earlier_version_are_shown() {
    let mut app = TestApp::start().edges(0).await;
    given_empty(&app).await;
    let migrations = migrations().await;
    let mut connection = app.ledger.acquire().await.unwrap();
    for version in versions(&migrations) {
        migrations.run_to(version, &mut *connection).await.unwrap();
        run_sql(&mut connection, samples(version)).await;
    }
    migrate(&app).await;
    let rows = app.count("jobs").await;

    app.start_edge(&[]).await;

    let listed = app.get("/jobs?limit=500").await.expect(200).json();
    assert_eq!(listed.as_array().map(Vec::len), usize::try_from(rows).ok());
    let states: BTreeSet<_> =
        listed.as_array().unwrap().iter().map(|job| job["state"].to_string()).collect();
    assert_eq!(states.len(), 6, "the samples have every state: {states:?}");
}

#[tokio::test]
async fn a_waiting_row_of_an_earlier_version_is_run() {
    let mut app = TestApp::start().edges(0).await;
    given_empty(&app).await;
    let migrations = migrations().await;
    let mut connection = app.ledger.acquire().await.unwrap();
    for version in versions(&migrations) {
        migrations.run_to(version, &mut *connection).await.unwrap();
        run_sql(&mut connection, samples(version)).await;
    }
    migrate(&app).await;

    app.start_edge(&[]).await;
    app.start_worker(&[]).await;

    let id = "01900000-0000-7000-8000-000000000001";
    assert_eq!(app.until_ended(id).await["state"], json!("completed"));
}

#[tokio::test]
async fn without_the_schema_a_request_is_turned_away_with_what_to_do() {
    let app = TestApp::start().await;
    given_empty(&app).await;

    let refused = app.get("/jobs").await;

    assert_eq!(refused.status, 503);
    assert!(refused.headers.contains_key("retry-after"));
    assert!(refused.text.contains("run `jetlane migrate`"), "{}", refused.text);
}
