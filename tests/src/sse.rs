//! Server-sent events: from bytes to frames.

/// One frame of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// What to give as `Last-Event-ID`; empty if there is none.
    pub id: String,
    /// The name after `event:`, empty if there is none.
    pub event: String,
    /// What follows `data:`.
    pub data: String,
    /// What follows a colon at the start of a line.
    pub comment: Option<String>,
}

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    /// Takes more bytes, and gives the frames that they complete.
    ///
    /// # Panics
    ///
    /// If a frame is no UTF-8.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.buffer.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut start = 0;
        while let Some(length) = self.buffer[start..].windows(2).position(|pair| pair == b"\n\n") {
            let text = std::str::from_utf8(&self.buffer[start..start + length]).unwrap();
            frames.push(parse(text));
            start += length + 2;
        }
        self.buffer.drain(..start);
        frames
    }
}

fn parse(text: &str) -> Frame {
    let mut frame = Frame::default();
    for line in text.lines() {
        match line.split_once(':') {
            Some(("", comment)) => frame.comment = Some(comment.trim().to_owned()),
            Some(("id", id)) => id.trim().clone_into(&mut frame.id),
            Some(("event", name)) => name.trim().clone_into(&mut frame.event),
            Some(("data", data)) => data.trim().clone_into(&mut frame.data),
            _ => {}
        }
    }
    frame
}
