//! Which web pages may call.

use crate::harness::{Reply, TestApp};

async fn preflight(app: &TestApp, origin: &str, method: &str) -> Reply {
    let request = app
        .request("OPTIONS", "/jobs")
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "content-type,last-event-id");
    app.send(request).await
}

#[tokio::test]
async fn a_page_of_a_listed_origin_may_call() {
    let app = TestApp::start().await;

    let reply = preflight(&app, "http://localhost:3000", "POST").await;

    assert!((200..300).contains(&reply.status), "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), "http://localhost:3000");
}

#[tokio::test]
async fn it_may_use_every_method_and_header_of_the_api() {
    let app = TestApp::start().await;

    for method in ["GET", "POST", "PUT", "DELETE"] {
        let reply = preflight(&app, "http://localhost:3000", method).await;
        assert!(reply.header("access-control-allow-methods").contains(method), "{reply:?}");
        assert!(
            reply.header("access-control-allow-headers").contains("last-event-id"),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn a_page_of_another_origin_may_not() {
    let app = TestApp::start().await;

    let reply = preflight(&app, "http://evil", "POST").await;

    assert_eq!(reply.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn origins_are_what_the_configuration_says() {
    let app = TestApp::start().var("CORS_ORIGINS", "https://a.example, https://b.example").await;

    for (origin, allowed) in [
        ("https://a.example", "https://a.example"),
        ("https://b.example", "https://b.example"),
        ("http://localhost:3000", ""),
    ] {
        let reply = preflight(&app, origin, "POST").await;
        assert_eq!(reply.header("access-control-allow-origin"), allowed, "{origin}");
    }
}

#[tokio::test]
async fn a_page_can_read_errors_and_where_to_go_on() {
    let app = TestApp::start().await;

    let request = app.request("GET", "/jobs/not-a-uuid").header("origin", "http://localhost:3000");
    let reply = app.send(request).await.expect(422);

    assert_eq!(reply.header("access-control-allow-origin"), "http://localhost:3000");
    let exposed = reply.header("access-control-expose-headers").to_lowercase();
    for header in ["location", "link", "retry-after", "idempotent-replayed"] {
        assert!(exposed.contains(header), "{exposed}");
    }
}
