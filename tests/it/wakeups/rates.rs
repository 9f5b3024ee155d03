//! What lets a lane whose starts are limited start another job.

use rustix::process::Signal;
use serde_json::json;

use super::{LONG, assert_starts, idle, job_of, unswept, with};
use crate::harness::{PATIENCE, Setup, TestApp};

#[tokio::test]
async fn a_lane_without_its_rate_limit() {
    let app = idle(unswept()).await;
    let rate = json!({ "rate": { "per_second": 0.001 } });
    app.ask("PATCH", "/lanes/default", rate).await.expect(200);
    app.submit(job_of(1)).await;
    let id = app.submit(job_of(1)).await;

    app.ask("PATCH", "/lanes/default", json!({ "rate": null })).await.expect(200);

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn a_raised_rate_limit() {
    let app = idle(unswept()).await;
    let rate = async |per_second: f64| {
        let rate = json!({ "rate": { "per_second": per_second } });
        app.ask("PATCH", "/lanes/default", rate).await.expect(200);
    };
    rate(0.001).await;
    app.submit(job_of(1)).await;
    let id = app.submit(job_of(1)).await;

    rate(1000.0).await;

    assert_starts(&app, &id).await;
}

/// The lane of each worker that nobody else serves.
const OWN_LANES: [&str; 2] = ["one", "two"];

/// A system of two workers whose lane lets one job start every two seconds;
/// one job that has started, and another that waits for its time. Only the
/// worker of the first knows of that, and is returned as its place.
async fn given_a_wait_for_a_rate(setup: Setup) -> (TestApp, usize, String) {
    let [one, two] = OWN_LANES.map(|own| format!("default,{own}"));
    let mut app = idle(setup.var("LANES", &one)).await;
    app.start_worker(&[("LANES", &two)]).await;
    let rate = json!({ "rate": { "per_second": 0.5, "burst": 1 } });
    app.ask("PATCH", "/lanes/default", rate).await.expect(200);
    let jobs = json!({ "jobs": [job_of(1), job_of(1)] });
    let accepted = app.ask("POST", "/jobs:batch", jobs).await.expect(200).json();
    let id = |n: usize| accepted["results"][n]["job"]["id"].as_str().unwrap().to_owned();
    let worker = app.until_state(&id(0), "completed").await["worker"].clone();
    let is_it =
        |place: &usize| app.workers[*place].process.told("worker").as_deref() == worker.as_str();
    let place = (0..2).find(is_it).expect("one of the two had it");
    (app, place, id(1))
}

#[tokio::test]
async fn a_rate_that_allows_a_start_once_the_worker_that_waited_has_drained() {
    let (app, place, second) = given_a_wait_for_a_rate(unswept().slots(2)).await;

    app.workers[place].process.signal(Signal::TERM);
    app.workers[place].process.end_within(PATIENCE).await;

    app.until_state(&second, "completed").await;
}

#[tokio::test]
async fn a_rate_that_allows_a_start_while_the_worker_that_waited_is_full() {
    let (app, place, second) = given_a_wait_for_a_rate(unswept().slots(2)).await;

    for _ in 0..2 {
        app.submit(with(job_of(LONG), json!({ "lane": OWN_LANES[place] }))).await;
    }

    let worker = app.until_state(&second, "completed").await["worker"].clone();
    let full = app.workers[place].process.told("worker");
    assert_ne!(worker.as_str(), full.as_deref(), "it has no slot left");
}
