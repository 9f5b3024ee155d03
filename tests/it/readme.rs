//! The README's walk-through: every line of it is run.

use std::fs;
use std::process::Stdio;

use tokio::process::Command;

use crate::harness::{PATIENCE, TestApp, workspace};

/// The heading that the walk-through stands under.
const HEADING: &str = "## A walk with curl";

/// The line that says where the API is, and its variable.
const API: &str = "A=";

/// The shell blocks of the walk-through, one after the other.
fn walk(readme: &str) -> String {
    let (_, section) = readme.split_once(HEADING).expect("the README has a walk-through");
    let section = section.split("\n## ").next().unwrap_or(section);
    let mut script = String::new();
    let mut is_inside = false;
    for line in section.lines() {
        match line.trim_end() {
            "```sh" => is_inside = true,
            "```" => is_inside = false,
            line if is_inside => script.extend([line, "\n"]),
            _ => {}
        }
    }
    script
}

/// The script with the API's address for the one it is written for.
fn at(script: &str, url: &str) -> String {
    let lines = script.lines().map(|line| match line.strip_prefix(API) {
        Some(_) => format!("{API}{url}\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[tokio::test]
async fn every_line_of_the_walk_through_works() {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap_or_default();
    let script = walk(&readme);
    assert!(script.lines().any(|line| line.starts_with(API)), "it says where the API is");
    let app = TestApp::start().workers(1).await;

    let mut shell = Command::new("sh");
    shell
        .args(["-eu", "-c", &at(&script, &app.edges[0].url)])
        // No `.curlrc`, and no way round.
        .env("HOME", app.folder.path())
        .env("no_proxy", "127.0.0.1")
        .current_dir(app.folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, shell.output()).await;
    let output = app.race(async { output.expect("it ends by itself").unwrap() }).await;

    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn only_the_blocks_of_the_section_are_run() {
    let readme = "```sh\nrm -rf /\n```\n## A walk with curl\ntext\n```sh\nA=http://x\ncurl $A\n```\n\
                  ```json\n{}\n```\n```sh\ncurl $A/2\n```\n## Next\n```sh\nfalse\n```\n";

    assert_eq!(at(&walk(readme), "http://y"), "A=http://y\ncurl $A\ncurl $A/2\n");
}
