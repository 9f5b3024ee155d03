//! A watcher of the event feed.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use anyhow::{Context, ensure};
use jetlane_tests::Frames;
use memchr::memmem;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An open event stream.
#[derive(Debug)]
pub struct Feed {
    stream: TcpStream,
    buffer: Vec<u8>,
    frames: Frames,
}

/// What a frame tells of a job.
#[derive(Clone, Debug, Deserialize)]
pub struct Told {
    /// What happened; empty in a frame that is about no job.
    #[serde(default)]
    pub kind: String,
    /// The job's name.
    #[serde(default)]
    pub name: String,
    /// When it was committed, as RFC 3339.
    pub committed_at: Option<String>,
    /// When it was handed to NATS.
    pub published_at: Option<String>,
    /// When the edge wrote it.
    pub sent_at: Option<String>,
}

/// Frames that came at once.
#[derive(Debug)]
pub struct Heard {
    /// When they came.
    pub at: Instant,
    /// The same by the clock of the machine.
    pub by_the_clock: SystemTime,
    /// What they tell, in their order.
    pub told: Vec<Told>,
}

impl Feed {
    /// Opens the stream, and returns once the server says that it is open.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub async fn open(address: SocketAddr, path: &str) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).await.context("cannot connect")?;
        // Of an answer to HTTP/1.0, all that follows the head is the body.
        let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut feed = Self { stream, buffer: Vec::new(), frames: Frames::default() };
        let head = loop {
            ensure!(feed.stream.read_buf(&mut feed.buffer).await? > 0, "the stream was closed");
            if let Some(end) = memmem::find(&feed.buffer, b"\r\n\r\n") {
                break end + 4;
            }
        };
        ensure!(feed.buffer.starts_with(b"HTTP/1.0 200"), "the stream was refused");
        feed.buffer.drain(..head);
        feed.frames.push(&feed.buffer);
        Ok(feed)
    }

    /// Waits for the next frames.
    ///
    /// # Errors
    ///
    /// If the stream ends, or tells what cannot be read.
    pub async fn next(&mut self) -> anyhow::Result<Heard> {
        self.buffer.clear();
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the stream was closed");
        let (at, by_the_clock) = (Instant::now(), SystemTime::now());
        let frames = self.frames.push(&self.buffer);
        let told = frames.into_iter().filter(|frame| !frame.data.is_empty());
        let told = told.map(|frame| serde_json::from_str(&frame.data)).collect::<Result<_, _>>()?;
        Ok(Heard { at, by_the_clock, told })
    }

    /// Waits for something, and takes no notice of it.
    ///
    /// # Errors
    ///
    /// If the stream ends.
    pub(crate) async fn pass(&mut self) -> anyhow::Result<()> {
        self.buffer.clear();
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the stream was closed");
        Ok(())
    }
}
