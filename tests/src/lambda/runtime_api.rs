//! What a function's process asks of Lambda and tells it: the Runtime API of
//! one instance.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::instance::{Desk, Outcome};

/// The longest answer that Lambda takes, and some more for its envelope.
const ANSWER_LIMIT: usize = 7 * 1024 * 1024;

/// Serves the API on a port of its own.
pub(super) async fn serve(desk: Arc<Desk>, serving: &mut JoinSet<()>) -> io::Result<SocketAddr> {
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::max(ANSWER_LIMIT))
        .with_state(desk);
    listen(router, serving).await
}

/// Serves `router` on a port of its own for as long as `serving` is kept.
pub(super) async fn listen(router: Router, serving: &mut JoinSet<()>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    // An error says that the other side has gone already.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    serving.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            eprintln!("{address} is not served any more: {error}");
        }
    });
    Ok(address)
}

/// Waits as long as it takes until there is an invocation.
async fn next(State(desk): State<Arc<Desk>>) -> Response {
    let Some(invocation) = desk.next().await else {
        return (StatusCode::GONE, "somebody else has asked since").into_response();
    };
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.id.to_string()),
        ("lambda-runtime-deadline-ms", deadline(invocation.limit).to_string()),
        ("lambda-runtime-invoked-function-arn", ARN.to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, invocation.event).into_response()
}

/// What the function is called in AWS's way.
const ARN: &str = "arn:aws:lambda:local:000000000000:function:local";

/// The milliseconds from 1970 to the end of an invocation that begins now.
fn deadline(limit: Duration) -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now + limit).as_millis()
}

async fn response(State(desk): State<Arc<Desk>>, Path(id): Path<Uuid>, answer: Bytes) -> Response {
    take(&desk, id, Ok(answer))
}

async fn error(State(desk): State<Arc<Desk>>, Path(id): Path<Uuid>, error: Bytes) -> Response {
    take(&desk, id, Err(error))
}

fn take(desk: &Desk, id: Uuid, outcome: Outcome) -> Response {
    if desk.answer(id, outcome) {
        (StatusCode::ACCEPTED, axum::Json(json!({ "status": "OK" }))).into_response()
    } else {
        (StatusCode::BAD_REQUEST, format!("{id} is not under way")).into_response()
    }
}

/// The process ends by itself after this.
async fn init_error(error: Bytes) -> StatusCode {
    eprintln!("a function cannot start: {}", String::from_utf8_lossy(&error));
    StatusCode::ACCEPTED
}
