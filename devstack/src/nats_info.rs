//! What a NATS server says of itself: the first line it sends to anyone who connects.

use anyhow::{Context, bail};
use serde::Deserialize;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a server may take to send its line.
const LIMIT: Duration = Duration::from_secs(5);

/// The part of the line that we look at. Not ours to define: unknown fields are fine.
#[derive(Debug, Deserialize)]
pub(crate) struct Info {
    pub(crate) server_name: String,
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) jetstream: bool,
}

/// Asks the server at the first address of `url`.
pub(crate) async fn ask(url: &str) -> anyhow::Result<Info> {
    let line = timeout(LIMIT, first_line(&address(url))).await.context("no answer in time")??;
    match line.split_once(' ') {
        Some(("INFO", info)) => Ok(serde_json::from_str(info)?),
        _ => bail!("what answers is not NATS"),
    }
}

async fn first_line(address: &str) -> anyhow::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    Ok(line)
}

/// `HOST:PORT` of the first server in a list of NATS URLs, which may lack scheme and port.
fn address(url: &str) -> String {
    let first = url.split(',').next().unwrap_or_default().trim();
    let authority = first.split_once("://").map_or(first, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);

    let after_brackets = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    if after_brackets.contains(':') { host.to_owned() } else { format!("{host}:4222") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_is_found() {
        assert_eq!(address("nats://user:p%40ss@host:1234,nats://other"), "host:1234");
        assert_eq!(address("tls://host/"), "host:4222");
        assert_eq!(address("host"), "host:4222");
        assert_eq!(address("nats://[::1]"), "[::1]:4222");
        assert_eq!(address("nats://[::1]:5"), "[::1]:5");
    }
}
