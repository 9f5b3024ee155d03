//! The file of variables counts for every command.

use std::fs;

use crate::harness::{Folder, Program, TestApp, run_to_end};

#[tokio::test]
async fn every_command_reads_the_file_of_variables() {
    let app = TestApp::start().await;
    let folder = Folder::new();
    let api = app.url("");
    let vars = format!("database_url={}\nJETLANE_API={api}\n", app.database_url());
    fs::write(folder.path().join(".env"), vars).unwrap();

    let migrate = run_to_end(&Program::new("migrate"), folder.path()).await;
    let jobs = run_to_end(&Program::new("jobs"), folder.path()).await;
    let doctor = run_to_end(&Program::new("doctor"), folder.path()).await;
    let elsewhere = Program::new("jobs").var("JETLANE_API", "http://127.0.0.1:1");
    let elsewhere = run_to_end(&elsewhere, folder.path()).await;

    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&migrate.stdout), "the ledger is up to date\n", "{migrate:?}");
    assert_eq!(text(&jobs.stdout), "no jobs\n", "{jobs:?}");
    let found = text(&doctor.stdout);
    assert!(found.contains("DATABASE_URL gives a server"), "{found}");
    assert!(found.contains("answers, and its schema is up to date"), "{found}");
    assert!(found.contains(&format!("ready at {api}")), "{found}");
    assert!(text(&elsewhere.stderr).contains("http://127.0.0.1:1"), "the environment wins");
}
