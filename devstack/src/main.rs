//! Holds both servers until it is killed, however it is killed: `jetlane-devstack [FOLDER]`.
//!
//! Prints their URLs and processes, then `holding`. Without a folder their data is temporary.

use std::env::args_os;
use std::future::pending;

use jetlane_devstack::{Data, Devstack, Settings};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let data = args_os().nth(1).map_or(Data::Temporary, |folder| Data::Kept(folder.into()));
    let stack = Devstack::start(&Settings::from_env()?, &data).await?;

    println!("DATABASE_URL={}", stack.postgres.admin_url());
    println!("NATS_URL={}", stack.nats.url());
    for (name, pid) in [("postgres", stack.postgres.pid()), ("nats-server", stack.nats.pid())] {
        println!("{name}={}", pid.map_or_else(String::new, |pid| pid.to_string()));
    }
    println!("holding");
    pending().await
}
