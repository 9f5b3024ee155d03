//! The command as it is typed, against a stack that runs already.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::path::{Path, PathBuf};
use std::process::Output;

use jetlane_loadtest::{Fleet, Stack};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_loadtest").into()
}

async fn run(args: &[&str]) -> Output {
    Command::new(program()).args(args).output().await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_put_under_load_and_its_budgets_are_watched() {
    let stack = Stack::start(&program(), Fleet::default()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let to = folder.path().join("out").display().to_string();
    let host = format!("http://{}", stack.apis()[0]);
    let scenario = "submit=3,submit_and_follow,batch,poll";
    let load = ["--host", &host, "--rate", "12", "--duration", "3s", "--scenario", scenario];

    let ran = run(&[&load[..], &["--folder", &to, "--budgets", "none", "--json"]].concat()).await;

    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let load_of = |report: &Value| report["load"].clone();
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let found = load_of(&report);
    assert_eq!((&found["failed"], &found["untold_jobs"]), (&json!(0), &json!(0)), "{found}");
    // Half of 36 arrivals submit one job, a sixth each one that is followed and a batch of 100.
    for (kind, count) in [("submit", 18), ("submit_and_follow", 6), ("batch", 6), ("poll", 6)] {
        assert_eq!(found["done"][kind]["summary"]["count"], count, "{kind}");
    }
    assert_eq!(found["accepted_jobs"], 18 + 6 + 600);
    assert_eq!(found["running"]["summary"]["count"], 18 + 6 + 600);
    assert_eq!(found["seconds"].as_array().unwrap().len(), 3);
    assert!(found["hops"]["commit_to_watcher"]["summary"]["p50_ms"].as_f64().unwrap() > 0.0);
    let kept: Value =
        serde_json::from_slice(&std::fs::read(Path::new(&to).join("report.json")).unwrap())
            .unwrap();
    assert_eq!(load_of(&kept), found);
    for (page, has) in [("report.html", "<svg"), ("goose.html", ">follow<")] {
        let page = std::fs::read_to_string(Path::new(&to).join(page)).unwrap();
        assert!(page.contains(has), "{page}");
    }

    let budgets = write(&folder, "budgets.toml", "load.running_p50_ms.at_most = 0");
    let ran = run(&[&load[..], &["--budgets", &budgets]].concat()).await;
    assert_eq!(ran.status.code(), Some(3), "{}", text(&ran.stderr));
    assert!(text(&ran.stderr).contains("over budget: load, running_p50_ms"));

    // Whoever comes to watch stays for five seconds.
    let scarce = ["--host", &host, "--rate", "4", "--duration", "2s", "--scenario", "watch"];
    let ran = run(&[&scarce[..], &["--users", "1", "--json"]].concat()).await;
    assert_eq!(ran.status.code(), Some(3), "{}", text(&ran.stderr));
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(report["load"]["due"], 8);
    assert!(report["load"]["failed"].as_u64().unwrap() >= 6, "{}", report["load"]);
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_target_that_is_not_there_is_an_error() {
    let ran = run(&["--host", "http://127.0.0.1:9", "--duration", "1s"]).await;
    assert_eq!(ran.status.code(), Some(1));
    assert!(text(&ran.stderr).starts_with("loadtest: a stream did not open: "), "{ran:?}");
}

#[tokio::test]
async fn two_reports_are_compared() {
    let folder = TempDir::new().unwrap();
    let report = |rounds: [f64; 5]| {
        let kept = include_str!("../../docs/reports/2026-11-29-saturate.json");
        let mut report: Value = serde_json::from_str(kept).unwrap();
        report["saturation"]["rounds"] = json!(rounds);
        report.to_string()
    };
    let fast = write(&folder, "fast.json", &report([0.8; 5]));
    let slow = write(&folder, "slow.json", &report([0.4; 5]));

    let worse = run(&["compare", &fast, &slow]).await;
    assert_eq!(worse.status.code(), Some(3), "{worse:?}");
    assert!(text(&worse.stdout).contains("-50.0 to -50.0 %   worse"), "{worse:?}");
    for (before, after) in [(&fast, &fast), (&slow, &fast)] {
        let ran = run(&["compare", before, after]).await;
        assert!(ran.status.success(), "{ran:?}");
    }
}
