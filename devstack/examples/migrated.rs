//! Holds a PostgreSQL on which migrations were applied, until it is killed: `migrated FOLDER`.
//!
//! Prints its URL, a line. Needs nothing of the product, which may be unable to compile for want of
//! just such a database.

use std::future::pending;
use std::path::Path;

use anyhow::Context;
use jetlane_devstack::{Data, Postgres, Settings};
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1).context("the folder of the migrations is missing")?;
    let server = Postgres::start(&Settings::from_env()?, &Data::Temporary).await?;

    let mut connection = PgConnection::connect(server.admin_url()).await?;
    Migrator::new(Path::new(&folder)).await?.run(&mut connection).await?;
    connection.close().await?;
    println!("{}", server.admin_url());
    pending().await
}
