//! The few statements that devstack needs, each on a connection of its own.

use std::time::Duration;

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::timeout;

use crate::error::DevstackError;

/// How long a server may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// The answer to a `SHOW` statement.
pub(crate) async fn show(url: &str, statement: &'static str) -> anyhow::Result<String> {
    let ask = async {
        let mut connection = PgConnection::connect(url).await?;
        let answer = sqlx::query_scalar(statement).fetch_one(&mut connection).await?;
        connection.close().await?;
        anyhow::Ok(answer)
    };
    timeout(LIMIT, ask).await.context("no answer in time")?
}

/// Makes an empty database.
pub(crate) async fn create_database(url: &str, name: &str) -> Result<(), DevstackError> {
    let name = checked(name)?;
    let statement = format!("CREATE DATABASE {name}");
    execute(url, statement, format!("create database {name}")).await
}

/// Makes a copy of a database that nobody is connected to.
pub(crate) async fn copy_database(
    url: &str,
    template: &str,
    name: &str,
) -> Result<(), DevstackError> {
    let (template, name) = (checked(template)?, checked(name)?);
    let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
    execute(url, statement, format!("copy database {template} to {name}")).await
}

/// Removes a database, if it exists, and ends who is connected to it.
pub(crate) async fn drop_database(url: &str, name: &str) -> Result<(), DevstackError> {
    let name = checked(name)?;
    let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    execute(url, statement, format!("drop database {name}")).await
}

/// `CREATE DATABASE` takes no parameters: only names that need no quotes get into a statement.
fn checked(name: &str) -> Result<&str, DevstackError> {
    let well_formed = (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));

    if well_formed { Ok(name) } else { Err(DevstackError::DatabaseName(name.to_owned())) }
}

async fn execute(url: &str, statement: String, action: String) -> Result<(), DevstackError> {
    let run = async {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await
    };
    run.await.map_err(DevstackError::sql(action))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_need_no_quotes_reach_a_statement() {
        assert_eq!(checked("jetlane_test_1").unwrap(), "jetlane_test_1");
        for name in ["", "1a", "A", "a-b", "a\"b", "a b", &"a".repeat(64)] {
            assert!(matches!(checked(name), Err(DevstackError::DatabaseName(_))), "{name}");
        }
    }
}
