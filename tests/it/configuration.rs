//! What processes are told, and refuse to be told.

use jetlane_tests::{Crashes, Process, eventually};
use serde_json::Value;

use crate::harness::{Folder, PATIENCE, Program, TestApp, run_to_end};

/// Runs a program that must refuse to start, and returns its only line.
async fn refusal(program: Program) -> String {
    let folder = Folder::new();
    let output = run_to_end(&program, folder.path()).await;

    assert!(!output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "{text}");
    lines[0].to_owned()
}

#[tokio::test]
async fn without_a_ledger_an_edge_refuses_to_start() {
    let line = refusal(Program::new("edge")).await;

    assert!(line.contains("DATABASE_URL is not set"), "{line}");
}

#[tokio::test]
async fn without_a_ledger_a_worker_refuses_to_start() {
    let line = refusal(Program::new("worker")).await;

    assert!(line.contains("DATABASE_URL is not set"), "{line}");
}

#[tokio::test]
async fn a_wrong_value_is_named_with_its_variable() {
    for (role, name, value) in [
        ("edge", "PORT", "eighty"),
        ("edge", "POLL_INTERVAL", "soon"),
        ("worker", "GPU_COUNT", "-1"),
        ("worker", "LANES", "a.b"),
        ("worker", "LEASE", "1"),
        ("worker", "SIMULATE_FAILURE_RATE", "2"),
    ] {
        let program = Program::new(role).var("DATABASE_URL", "postgresql://u@127.0.0.1:1/d");
        let line = refusal(program.var(name, value)).await;
        assert!(line.contains(name), "{line}");
    }
}

#[tokio::test]
async fn a_number_that_is_none_is_answered_with_what_is_allowed() {
    let program = Program::new("edge").var("DATABASE_URL", "postgresql://u@127.0.0.1:1/d");

    let line = refusal(program.var("PORT", "abc")).await;

    assert_eq!(line, "jetlane: PORT is `abc`: use a whole number from 0 to 65535");
}

#[tokio::test]
async fn the_ledgers_password_is_not_repeated() {
    let line =
        refusal(Program::new("edge").var("DATABASE_URL", "mysql://user:secret@host/d")).await;

    assert!(line.contains("DATABASE_URL") && !line.contains("secret"), "{line}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let app = TestApp::start().await;
    let port = app.edges[0].url.rsplit(':').next().unwrap().to_owned();

    let line = refusal(app.program("edge").var("PORT", &port).var("LOG", "error")).await;

    assert!(line.contains(&port), "{line}");
}

#[tokio::test]
async fn the_spelling_of_sqlalchemy_is_accepted() {
    let mut app = TestApp::start().edges(0).await;
    let url = app.database_url().replacen("postgresql://", "postgresql+psycopg2://", 1);

    app.start_edge(&[("DATABASE_URL", &url)]).await;

    app.until_ready().await;
}

#[tokio::test]
async fn json_of_a_process_is_its_logs() {
    for role in ["edge", "worker"] {
        let (folder, crashes) = (Folder::new(), Crashes::new());
        let program = Program::new(role)
            .arg("--json")
            .var("DATABASE_URL", "postgresql://u@127.0.0.1:1/d")
            .vars([("PORT", "0".to_owned()), ("WORKER_PORT", "0".to_owned())]);
        let process = Process::start(role, program.command(folder.path()), folder.path(), &crashes);

        let line = eventually("it logs", PATIENCE, async || {
            Some(process.logged().split_once('\n')?.0.to_owned())
        });

        let line: Value = serde_json::from_str(&crashes.race(line).await).unwrap();
        assert_eq!(line["level"], "INFO");
    }
}
