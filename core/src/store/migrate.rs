//! Bringing the schema up to date.

use anyhow::Context;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::reach::address;

/// Every migration, compiled in.
static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Applies the migrations that the ledger lacks, and returns how many those
/// were. Two callers at once wait for each other.
///
/// # Errors
///
/// If the server is out of reach, or a migration fails or was changed after it
/// was applied. Those before it stay applied.
pub async fn migrate(url: &str) -> anyhow::Result<usize> {
    let mut connection = connect(url).await?;
    let before = applied(&mut connection).await?;
    MIGRATOR.run(&mut connection).await?;
    let after = applied(&mut connection).await?;
    connection.close().await?;
    Ok(after - before)
}

/// How many migrations the ledger lacks.
///
/// # Errors
///
/// If the server is out of reach.
pub async fn pending_migrations(url: &str) -> anyhow::Result<usize> {
    let mut connection = connect(url).await?;
    let applied = applied(&mut connection).await?;
    connection.close().await?;
    Ok(known().saturating_sub(applied))
}

/// Whether the ledger has every migration that this process knows.
///
/// # Errors
///
/// If the server does not answer.
pub(super) async fn is_current(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    Ok(applied(connection).await? >= known())
}

async fn connect(url: &str) -> anyhow::Result<PgConnection> {
    let options: PgConnectOptions = url.parse().context("its address is none")?;
    let connection = options.connect().await;
    connection.with_context(|| format!("cannot reach {}", address(&options)))
}

fn known() -> usize {
    MIGRATOR.iter().filter(|migration| !migration.migration_type.is_down_migration()).count()
}

async fn applied(connection: &mut PgConnection) -> Result<usize, sqlx::Error> {
    // Not a checked query: the table is sqlx's own, and absent before the first run.
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(0);
    }
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations WHERE success")
        .fetch_one(connection)
        .await?;
    Ok(usize::try_from(count).unwrap_or_default())
}
