//! The sockets that `edge` accepts.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

/// How long a client may take nothing of what was sent to it before its connection is dropped.
///
/// A body that cannot be written is not polled, so a client that stalls is noticed by nobody but
/// the kernel.
pub(crate) const STALL_LIMIT: Duration = Duration::from_secs(30);

/// Sets an accepted socket up: what is written is sent at once, and who takes nothing for `stall`
/// is disconnected.
///
/// # Errors
///
/// The system's, if it does not do one of both; the socket can be used nevertheless.
pub(crate) fn set_up(stream: &TcpStream, stall: Duration) -> io::Result<()> {
    // A frame must not wait for the acknowledgement of the one before it.
    stream.set_nodelay(true)?;
    limit_stalls(stream, stall)
}

#[cfg(target_os = "linux")]
fn limit_stalls(stream: &TcpStream, stall: Duration) -> io::Result<()> {
    let milliseconds = u32::try_from(stall.as_millis()).unwrap_or(u32::MAX);
    Ok(rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds)?)
}

/// Elsewhere there is no such limit; a client that stalls stays until it reads again or goes.
#[cfg(not(target_os = "linux"))]
fn limit_stalls(_: &TcpStream, _: Duration) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use axum::serve::ListenerExt;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::task::JoinSet;
    use tokio::time::timeout;
    use tokio_util::sync::{CancellationToken, DropGuard};

    use super::*;

    /// Far longer than the kernel takes.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A body without an end, which cancels a token when it is dropped.
    fn endless(guard: DropGuard) -> Body {
        let chunk = Bytes::from(vec![b'x'; 1 << 16]);
        Body::from_stream(stream::unfold((guard, chunk), async |(guard, chunk)| {
            Some((Ok::<_, io::Error>(chunk.clone()), (guard, chunk)))
        }))
    }

    #[tokio::test]
    async fn a_reader_that_stalls_is_disconnected() {
        let gone = CancellationToken::new();
        let guard = gone.clone();
        let router = Router::new().route("/", get(async move || endless(guard.drop_guard())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener =
            listener.tap_io(|stream| set_up(stream, Duration::from_millis(300)).unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(axum::serve(listener, router).into_future());
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stalled = socket.connect(address).await.unwrap();
        stalled.write_all(b"GET / HTTP/1.1\r\nhost: edge\r\n\r\n").await.unwrap();

        stalled.read_u8().await.unwrap();

        timeout(PATIENCE, gone.cancelled()).await.expect("its body must be dropped");
    }
}
