//! Servers start with the right settings, stand beside each other, and keep what they should.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use jetlane_devstack::{Data, Devstack, DevstackError, Nats, Postgres, Settings, Source};
use rustix::process::{Pid, Signal, getpgid, kill_process, test_kill_process};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::given::{self, Folder};

async fn ask(url: &str, question: &str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let question = AssertSqlSafe(question.to_owned());
    let answer = sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    answer
}

async fn execute(url: &str, statement: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn lives(pid: u32) -> bool {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    test_kill_process(pid).is_ok()
}

#[tokio::test]
async fn a_server_has_the_settings_of_production() {
    let postgres = Postgres::start(&given::settings(), &Data::Temporary).await.unwrap();

    let mut found = Vec::new();
    for name in [
        "fsync",
        "synchronous_commit",
        "full_page_writes",
        "data_checksums",
        "server_encoding",
        "lc_collate",
        "TimeZone",
        "max_connections",
        "shared_buffers",
    ] {
        let question = format!("SELECT '{name}=' || current_setting('{name}', true)");
        let question = match name {
            // No setting any more since PostgreSQL 16.
            "lc_collate" => "SELECT 'lc_collate=' || datcollate FROM pg_database LIMIT 1",
            _ => &question,
        };
        found.push(ask(postgres.admin_url(), question).await);
    }

    assert_eq!(
        found,
        [
            "fsync=on",
            "synchronous_commit=on",
            "full_page_writes=on",
            "data_checksums=on",
            "server_encoding=UTF8",
            "lc_collate=C",
            "TimeZone=UTC",
            "max_connections=200",
            "shared_buffers=128MB",
        ]
    );
}

#[tokio::test]
async fn a_process_listens_on_loopback_only() {
    let postgres = Postgres::start(&given::processes(), &Data::Temporary).await.unwrap();
    assert_eq!(ask(postgres.admin_url(), "SHOW listen_addresses").await, "127.0.0.1");
}

#[tokio::test]
async fn two_stacks_stand_beside_each_other() {
    let settings = given::settings();
    let start = || Devstack::start(&settings, &Data::Temporary);
    let (one, two) = tokio::try_join!(start(), start()).unwrap();

    execute(one.postgres.admin_url(), "CREATE TABLE only_here ()").await;
    let sees = "SELECT coalesce(to_regclass('only_here')::text, 'nothing')";
    assert_eq!(ask(one.postgres.admin_url(), sees).await, "only_here");
    assert_eq!(ask(two.postgres.admin_url(), sees).await, "nothing");
    assert_ne!(one.nats.url(), two.nats.url());

    let pids = [one.postgres.pid(), one.nats.pid()];
    let urls = [one.postgres.admin_url().to_owned(), one.nats.url().to_owned()];
    drop(one);
    assert!(pids.into_iter().flatten().all(|pid| !lives(pid)));
    assert!(urls.iter().all(|url| given::is_closed(url)));
    assert_eq!(ask(two.postgres.admin_url(), sees).await, "nothing");
    assert!(!given::is_closed(two.nats.url()));
}

#[tokio::test]
async fn stopping_leaves_no_process_and_no_folder() {
    let folder = Folder::new();
    let settings = Settings { temporary: folder.path().to_owned(), ..given::processes() };
    let stack = Devstack::start(&settings, &Data::Temporary).await.unwrap();
    let pids = [stack.postgres.pid().unwrap(), stack.nats.pid().unwrap()];
    assert_eq!(folder.entries().len(), 2);

    stack.stop().await.unwrap();

    assert!(pids.into_iter().all(|pid| !lives(pid)));
    assert!(folder.entries().is_empty(), "{:?}", folder.entries());
}

#[tokio::test]
async fn the_end_of_a_server_is_told_with_its_last_words() {
    let stack = Devstack::start(&given::processes(), &Data::Temporary).await.unwrap();
    let pids = [stack.postgres.pid(), stack.nats.pid()];
    for pid in pids {
        let pid = Pid::from_raw(pid.unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }

    let ends = [stack.postgres.ended().await, stack.nats.ended().await];

    assert_eq!(ends.each_ref().map(|end| end.name), ["PostgreSQL", "nats-server"]);
    for (end, pid) in ends.iter().zip(pids) {
        assert_eq!(end.pid, pid);
        assert_eq!(end.status.unwrap().to_string(), "signal: 9 (SIGKILL)");
        assert!(!end.last_words.is_empty());
    }
    // It stays ended, and is told again to who asks again.
    assert_eq!(stack.nats.ended().await, ends[1]);
}

/// ^C at a terminal signals a process group.
#[tokio::test]
async fn a_server_is_not_in_our_process_group() {
    let nats = Nats::start(&given::processes(), &Data::Temporary).await.unwrap();
    let pid = Pid::from_raw(nats.pid().unwrap().try_into().unwrap());
    assert_ne!(getpgid(pid).unwrap(), getpgid(None).unwrap());
}

#[tokio::test]
async fn a_kept_folder_survives_its_servers() {
    let folder = Folder::new();
    let data = Data::Kept(folder.path().join("new/.jetlane"));
    let settings = given::processes();

    let first = Devstack::start(&settings, &data).await.unwrap();
    execute(first.postgres.admin_url(), "CREATE TABLE kept ()").await;
    first.stop().await.unwrap();
    // What tells a later start that a lock which lasts is about to go.
    for name in ["postgres", "nats"] {
        let lock = folder.path().join("new/.jetlane").join(name).join("lock");
        assert!(fs::read_to_string(lock).unwrap().ends_with("\nended\n"));
    }
    let second = Devstack::start(&settings, &data).await.unwrap();

    let sees = "SELECT coalesce(to_regclass('kept')::text, 'nothing')";
    assert_eq!(ask(second.postgres.admin_url(), sees).await, "kept");
}

#[tokio::test]
async fn a_kept_folder_is_for_one_at_a_time() {
    let folder = Folder::new();
    let data = Data::Kept(folder.path().to_owned());
    let settings = given::processes();
    let _first = Nats::start(&settings, &data).await.unwrap();

    let error = Nats::start(&settings, &data).await.unwrap_err();

    let at = folder.path().join("nats");
    let expected = format!("{} is in use by process {}", at.display(), std::process::id());
    assert_eq!(error.to_string(), expected);
}

/// PostgreSQL does not fear processes of other users.
fn given_process_of_the_owner(folder: &Path) -> Child {
    let owner = fs::metadata(folder).unwrap().uid();
    Command::new("sleep").arg("600").uid(owner).spawn().unwrap()
}

/// The postmaster was killed, and its number now means a process that lives.
#[tokio::test]
async fn the_trace_of_a_crash_does_not_keep_postgres_from_starting() {
    let folder = Folder::new();
    let data = Data::Kept(folder.path().to_owned());
    let settings = given::processes();
    Postgres::start(&settings, &data).await.unwrap().stop().await.unwrap();
    let mut bystander = given_process_of_the_owner(&folder.path().join("postgres/data"));
    let trace = folder.path().join("postgres/data/postmaster.pid");
    fs::write(trace, format!("{}\n", bystander.id())).unwrap();

    let started = Postgres::start(&settings, &data).await;

    bystander.kill().unwrap();
    bystander.wait().unwrap();
    started.unwrap();
}

#[tokio::test]
async fn what_was_committed_is_there_again_after_a_kill() {
    let mut postgres = Postgres::start(&given::settings(), &Data::Temporary).await.unwrap();
    execute(postgres.admin_url(), "CREATE TABLE committed ()").await;
    let started = "SELECT pg_postmaster_start_time()::text";
    let before = ask(postgres.admin_url(), started).await;
    // A session lives on until it notices, and holds the memory that the postmaster shared.
    let _session = PgConnection::connect(postgres.admin_url()).await.unwrap();

    postgres.kill().await.unwrap();
    assert_eq!(postgres.pid(), None);
    assert!(given::is_closed(postgres.admin_url()));
    postgres.start_again().await.unwrap();

    assert_ne!(ask(postgres.admin_url(), started).await, before);
    let sees = "SELECT coalesce(to_regclass('committed')::text, 'nothing')";
    assert_eq!(ask(postgres.admin_url(), sees).await, "committed");
}

#[tokio::test]
async fn what_is_missing_is_said_in_one_line() {
    let settings = Settings { sources: vec![Source::Url], database_url: None, ..given::settings() };

    let error = Postgres::start(&settings, &Data::Temporary).await.unwrap_err();

    assert!(matches!(error, DevstackError::Unavailable { .. }), "{error:?}");
    let expected = "no PostgreSQL 16 or newer: DATABASE_URL is not set; set DATABASE_URL";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_server_that_gives_up_is_quoted_at_once() {
    let folder = Folder::new();
    let data = Data::Kept(folder.path().to_owned());
    let settings = given::processes();
    Postgres::start(&settings, &data).await.unwrap().stop().await.unwrap();
    fs::write(folder.path().join("postgres/data/PG_VERSION"), "9.6\n").unwrap();

    let error = Postgres::start(&settings, &data).await.unwrap_err().to_string();

    assert!(error.starts_with("PostgreSQL did not start: "), "{error}");
    assert!(error.contains("not compatible"), "{error}");
    assert_eq!(error.lines().count(), 1);
}
