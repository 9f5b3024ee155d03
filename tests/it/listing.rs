//! `GET /jobs`: newest first, a page at a time, filtered.

use serde_json::{Value, json};

use crate::harness::{Reply, TestApp};

/// The names of the jobs of a page, in its order.
fn names(page: &Reply) -> Vec<String> {
    let jobs = page.json().as_array().cloned().unwrap();
    jobs.iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect()
}

/// Where the page says that the next one is.
fn next(page: &Reply) -> Option<String> {
    let link = page.header("link");
    let url = link.strip_suffix("; rel=\"next\"")?.strip_prefix('<')?.strip_suffix('>')?;
    Some(url.to_owned())
}

async fn given_jobs(app: &TestApp, count: usize) -> Vec<String> {
    app.submit_each(0..count, |n| json!({ "name": format!("job {n:03}") })).await
}

#[tokio::test]
async fn the_newest_job_comes_first() {
    let app = TestApp::start().await;
    app.submit(json!({ "name": "First" })).await;
    app.submit(json!({ "name": "Second" })).await;

    let page = app.get("/jobs").await.expect(200);

    assert_eq!(names(&page), ["Second", "First"]);
}

#[tokio::test]
async fn an_empty_ledger_lists_nothing() {
    let app = TestApp::start().await;

    assert_eq!(app.get("/jobs").await.expect(200).json(), json!([]));
}

#[tokio::test]
async fn a_listed_job_is_the_job_itself() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "x", "params": { "a": 1 } })).await;

    let page = app.get("/jobs").await.expect(200).json();

    assert_eq!(page[0], app.job(&id).await);
}

#[tokio::test]
async fn a_bare_listing_has_fifty_jobs_and_says_where_the_rest_is() {
    let app = TestApp::start().await;
    given_jobs(&app, 51).await;

    let page = app.get("/jobs").await.expect(200);

    assert_eq!((names(&page).len(), next(&page).is_some()), (50, true));
}

#[tokio::test]
async fn a_listing_that_is_whole_names_no_next_page() {
    let app = TestApp::start().await;
    given_jobs(&app, 3).await;

    let page = app.get("/jobs?limit=3").await.expect(200);

    assert_eq!((names(&page).len(), next(&page)), (3, None));
}

#[tokio::test]
async fn following_the_links_shows_every_job_once() {
    let app = TestApp::start().await;
    given_jobs(&app, 25).await;

    let mut seen = Vec::new();
    let mut page = app.get("/jobs?limit=10").await.expect(200);
    loop {
        seen.extend(names(&page));
        match next(&page) {
            Some(url) => page = app.get_url(&url).await.expect(200),
            None => break,
        }
    }

    let newest_first: Vec<_> = (0..25).rev().map(|n| format!("job {n:03}")).collect();
    assert_eq!(seen, newest_first);
}

#[tokio::test]
async fn jobs_that_come_later_do_not_move_the_next_page() {
    let app = TestApp::start().await;
    given_jobs(&app, 4).await;
    let page = app.get("/jobs?limit=2").await.expect(200);

    app.submit(json!({ "name": "later" })).await;

    let page = app.get_url(&next(&page).unwrap()).await.expect(200);
    assert_eq!(names(&page), ["job 001", "job 000"]);
}

#[tokio::test]
async fn a_listing_is_filtered_by_state() {
    let app = TestApp::start().await;
    app.submit(json!({ "name": "now" })).await;
    app.submit(json!({ "name": "later", "run_at": "2099-01-01T00:00:00Z" })).await;

    let page = app.get("/jobs?state=scheduled").await.expect(200);

    assert_eq!(names(&page), ["later"]);
}

#[tokio::test]
async fn a_listing_is_filtered_by_lane() {
    let app = TestApp::start().await;
    app.given_lane("gpu").await;
    app.submit(json!({ "name": "here" })).await;
    app.submit(json!({ "name": "there", "lane": "gpu" })).await;

    let page = app.get("/jobs?lane=gpu").await.expect(200);

    assert_eq!(names(&page), ["there"]);
}

#[tokio::test]
async fn a_listing_is_filtered_by_submitter() {
    let app = TestApp::start().await;
    app.submit(json!({ "name": "hers", "submitted_by": "ada & co" })).await;
    app.submit(json!({ "name": "his", "submitted_by": "bob" })).await;

    let page = app.get("/jobs?submitted_by=ada%20%26%20co").await.expect(200);

    assert_eq!(names(&page), ["hers"]);
}

#[tokio::test]
async fn filters_are_joined() {
    let app = TestApp::start().await;
    let later = "2099-01-01T00:00:00Z";
    app.submit(json!({ "name": "a", "submitted_by": "ada" })).await;
    app.submit(json!({ "name": "b", "submitted_by": "ada", "run_at": later })).await;
    app.submit(json!({ "name": "c", "submitted_by": "bob", "run_at": later })).await;

    let page = app.get("/jobs?state=scheduled&submitted_by=ada&lane=default").await.expect(200);

    assert_eq!(names(&page), ["b"]);
}

#[tokio::test]
async fn a_next_page_has_the_filters_of_the_first() {
    let app = TestApp::start().await;
    for n in 0..3 {
        app.submit(json!({ "name": format!("ada {n}"), "submitted_by": "ada+1 =&ü" })).await;
        app.submit(json!({ "name": format!("bob {n}"), "submitted_by": "bob" })).await;
    }
    let page = app.get("/jobs?limit=2&submitted_by=ada%2B1%20%3D%26%C3%BC").await.expect(200);

    let page = app.get_url(&next(&page).unwrap()).await.expect(200);

    assert_eq!(names(&page), ["ada 0"]);
}

#[tokio::test]
async fn another_tenants_jobs_are_not_listed() {
    let app = TestApp::start().await;
    app.submit(json!({ "name": "mine" })).await;

    let request = app.request("GET", "/jobs").header("x-jetlane-tenant", "other");

    assert_eq!(app.send(request).await.expect(200).json(), json!([]));
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let app = TestApp::start().await;

    for (query, name) in [
        ("state=done", "state"),
        ("lane=a.b", "lane"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("cursor=abc", "cursor"),
        ("state=queued&state=failed", "state"),
        ("colour=red", "colour"),
    ] {
        let problem = app.get(&format!("/jobs?{query}")).await.expect(422).problem();
        assert_eq!(problem["errors"][0]["parameter"], Value::from(name), "{query}");
    }
}
