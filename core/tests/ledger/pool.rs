use std::net::SocketAddr;
use std::time::Duration;

use jetlane_core::domain::TenantName;
use jetlane_core::store::{Ledger, PoolSettings, connect};
use sqlx::postgres::PgConnectOptions;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::given::{given_a_ledger, job, settings};

/// More than a call may take whose peer is silent, and its connection to go.
const GIVEN_UP: Duration = Duration::from_secs(10);

/// A connection through which nothing comes any more, and which nobody closes,
/// must not be all that a pool has: neither for a statement nor for a
/// transaction.
#[tokio::test]
async fn a_connection_that_went_silent_is_given_up_and_replaced() {
    let given = given_a_ledger().await;
    let tenant = TenantName::default();
    let (address, silence, _road) = given_a_road_that_falls_silent(&given.url).await;
    let url = with_address(&given.url, address);
    let ledger = Ledger::new(connect(&settings(&url, 1)).await.unwrap());

    let id = job("any").id;
    silence.send(1).unwrap();
    let find = timeout(GIVEN_UP, ledger.find(&tenant, id)).await;
    assert!(find.expect("the call ended").unwrap_err().is_unavailable());
    assert!(timeout(GIVEN_UP, ledger.find(&tenant, id)).await.unwrap().unwrap().is_none());

    silence.send(2).unwrap();
    let cancel = timeout(GIVEN_UP, ledger.cancel(&tenant, id)).await;
    assert!(cancel.expect("the call ended").unwrap_err().is_unavailable());
    assert!(timeout(GIVEN_UP, ledger.cancel(&tenant, id)).await.unwrap().is_ok());
}

/// Who may be frozen asks every time: a connection that was used a moment ago,
/// as far as it can tell, may be dead.
#[tokio::test]
async fn a_connection_that_the_server_ended_is_replaced_before_it_is_used() {
    let given = given_a_ledger().await;
    let settings = PoolSettings { rested: Duration::ZERO, ..settings(&given.url, 1) };
    let ledger = Ledger::new(connect(&settings).await.unwrap());

    let is_ended: Option<bool> = sqlx::query_scalar(
        "SELECT bool_and(pg_terminate_backend(pid, 5000))
         FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = $1",
    )
    .bind(settings.application_name)
    .fetch_one(&given.pool)
    .await
    .unwrap();
    assert_eq!(is_ended, Some(true));

    assert!(ledger.find(&TenantName::default(), job("any").id).await.unwrap().is_none());
}

/// An address that leads to the server. Connections made before `silence` was
/// last sent stay open, and nothing comes through.
async fn given_a_road_that_falls_silent(
    url: &str,
) -> (SocketAddr, watch::Sender<u32>, JoinSet<()>) {
    let options: PgConnectOptions = url.parse().unwrap();
    let server = (options.get_host().to_owned(), options.get_port());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (silence, is_silent) = watch::channel(0);

    let mut road = JoinSet::new();
    road.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(&server).await.unwrap();
            let mut is_silent = is_silent.clone();
            is_silent.mark_unchanged();
            connections.spawn(async move {
                tokio::select! {
                    biased;
                    Ok(()) = is_silent.changed() => std::future::pending().await,
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                }
            });
        }
    });
    (address, silence, road)
}

fn with_address(url: &str, address: SocketAddr) -> String {
    let options: PgConnectOptions = url.parse().unwrap();
    let from = format!("{}:{}", options.get_host(), options.get_port());
    url.replacen(&from, &address.to_string(), 1)
}
