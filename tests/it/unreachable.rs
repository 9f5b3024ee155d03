//! Servers that cannot be reached: processes say why, once, and not how they would get in.

use jetlane_tests::{Crashes, Process, eventually};
use serde_json::Value;

use crate::harness::{Folder, PATIENCE, Program, TestApp};

/// Addresses at which nothing listens.
const LEDGER: &str = "postgresql://u:secret@127.0.0.1:1/d";
const NATS: &str = "nats://u:secret@127.0.0.1:2";

/// A process that finds none of its servers.
fn given_a_lost_process(role: &'static str, folder: &Folder, crashes: &Crashes) -> Process {
    let program = Program::new(role).vars(
        [
            ("DATABASE_URL", LEDGER),
            ("NATS_URL", NATS),
            ("HOST", "127.0.0.1"),
            ("PORT", "0"),
            ("WORKER_HOST", "127.0.0.1"),
            ("WORKER_PORT", "0"),
        ]
        .map(|(name, value)| (name, value.to_owned())),
    );
    Process::start(role, program.arg("--json").command(folder.path()), folder.path(), crashes)
}

/// The lines of a log that is JSON, as far as they are whole.
fn lines(process: &Process) -> Vec<Value> {
    let log = process.logged();
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// What a process says of the address that contains `address`.
fn told(process: &Process, address: &str) -> Vec<Value> {
    let of_it = |line: &Value| {
        line["fields"]["address"].as_str().is_some_and(|told| told.contains(address))
    };
    lines(process).into_iter().filter(of_it).collect()
}

#[tokio::test]
async fn why_a_server_cannot_be_reached_is_told_once_without_the_password() {
    for role in ["edge", "worker"] {
        let (folder, crashes) = (Folder::new(), Crashes::new());
        let process = given_a_lost_process(role, &folder, &crashes);

        for address in ["127.0.0.1:1/d", "127.0.0.1:2"] {
            let told = eventually("it is told", PATIENCE, async || {
                Some(told(&process, address)).filter(|told| !told.is_empty())
            });
            let told = crashes.race(told).await;
            assert_eq!(told[0]["level"], "WARN");
            let error = told[0]["fields"]["error"].as_str().unwrap();
            assert!(error.ends_with("Connection refused (os error 111)"), "{error}");
            assert_eq!(error.matches("refused").count(), 1, "{error}");
        }
        // Proves that further attempts, of which there were some by then, are not told.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        for address in ["127.0.0.1:1/d", "127.0.0.1:2"] {
            assert_eq!(told(&process, address).len(), 1, "{role}");
        }
        assert!(!process.logged().contains("secret"));
    }
}

#[tokio::test]
async fn the_loss_and_the_return_of_nats_are_told_once_each() {
    let mut app = TestApp::start().await;
    let count = |app: &TestApp, text: &str| app.edges[0].process.logged().matches(text).count();

    app.stop_nats().await;
    app.eventually("the loss is told", async || {
        (count(&app, "lost the connection to NATS") == 1).then_some(())
    })
    .await;
    app.start_nats().await;
    app.eventually("the return is told", async || {
        (count(&app, "connected to NATS address=") == 2).then_some(())
    })
    .await;

    assert_eq!(count(&app, "lost the connection to NATS"), 1);
    assert_eq!(count(&app, "cannot reach NATS"), 0);
}
