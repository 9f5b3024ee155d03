//! A NATS server can be taken away and brought back.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, StorageType, Stream};
use jetlane_devstack::{Data, Nats};

use crate::given;

const STREAM: &str = "KEPT";

async fn connect(nats: &Nats) -> jetstream::Context {
    jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

/// A stream with one message.
async fn given_message(nats: &Nats) {
    let context = connect(nats).await;
    let config =
        Config { name: STREAM.to_owned(), storage: StorageType::File, ..Config::default() };
    context.create_stream(config).await.unwrap();
    context.publish(STREAM, "hello".into()).await.unwrap().await.unwrap();
}

/// What the server calls itself, anew each time it starts.
async fn identity(nats: &Nats) -> String {
    async_nats::connect(nats.url()).await.unwrap().server_info().server_id
}

async fn messages(nats: &Nats) -> Option<u64> {
    let stream: Stream = connect(nats).await.get_stream(STREAM).await.ok()?;
    Some(stream.cached_info().state.messages)
}

#[tokio::test]
async fn what_was_stored_is_there_again_after_a_kill() {
    let mut nats = Nats::start(&given::settings(), &Data::Temporary).await.unwrap();
    given_message(&nats).await;
    let before = (identity(&nats).await, nats.url().to_owned());

    nats.kill().await.unwrap();
    assert_eq!(nats.pid(), None);
    let refused = async_nats::ConnectOptions::new()
        .connection_timeout(Duration::from_secs(5))
        .connect(nats.url())
        .await;
    assert!(refused.is_err());
    nats.start_again().await.unwrap();

    assert_ne!(identity(&nats).await, before.0);
    assert_eq!(nats.url(), before.1);
    assert_eq!(messages(&nats).await, Some(1));
}

#[tokio::test]
async fn a_wiped_server_comes_back_empty() {
    let mut nats = Nats::start(&given::settings(), &Data::Temporary).await.unwrap();
    given_message(&nats).await;

    nats.wipe().await.unwrap_err();
    assert_eq!(messages(&nats).await, Some(1));
    nats.stop_server().await.unwrap();
    nats.wipe().await.unwrap();
    nats.start_again().await.unwrap();

    assert_eq!(messages(&nats).await, None);
}

/// A server that dies by itself can be started again, like one that was told to.
#[tokio::test]
async fn a_server_that_died_can_be_started_again() {
    let mut nats = Nats::start(&given::processes(), &Data::Temporary).await.unwrap();
    let pid = rustix::process::Pid::from_raw(nats.pid().unwrap().try_into().unwrap()).unwrap();

    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    given::eventually("the death is noticed", || nats.pid().is_none());
    nats.start_again().await.unwrap();

    assert!(nats.pid().is_some());
    assert_eq!(messages(&nats).await, None);
}

#[tokio::test]
async fn a_given_server_is_not_ours_to_kill() {
    let mut settings = given::settings();
    let host = Nats::start(&settings, &Data::Temporary).await.unwrap();
    settings.sources = vec![jetlane_devstack::Source::Url];
    settings.nats_url = Some(host.url().to_owned());

    let mut given = Nats::start(&settings, &Data::Temporary).await.unwrap();

    assert_eq!((given.url(), given.pid()), (host.url(), None));
    let error = given.kill().await.unwrap_err().to_string();
    assert_eq!(error, "the server at NATS_URL is not ours to kill or start");
    given.stop().await.unwrap();
    given_message(&host).await;
}
