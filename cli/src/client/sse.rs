//! Server-sent events, from bytes to frames.
//!
//! What the HTML standard asks of a reader, as far as a client that keeps its
//! own reconnection policy needs it: `retry` is not used. It takes bytes in
//! whatever pieces the network brings.

/// The most bytes that one frame may take. Ours stay below 100 KiB; a server
/// that sends more without an end is not one of ours.
const FRAME_LIMIT: usize = 8 * 1024 * 1024;

/// What was dispatched by one blank line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The last id the stream has named, on this frame or before.
    pub(crate) id: Option<String>,
    /// The `event` field. Frames of ours have none, except for `reset`.
    pub(crate) event: Option<String>,
    /// The `data` fields, joined by line feeds.
    pub(crate) data: String,
}

/// A frame that does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of more than {FRAME_LIMIT} bytes")]
pub(crate) struct FrameTooLong;

/// Reads one stream. A new connection needs a new one.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    /// The line that has no end yet.
    line: Vec<u8>,
    /// The last byte was a carriage return, so a line feed now ends nothing.
    after_return: bool,
    /// The first line has been read, so a byte order mark is text now.
    is_begun: bool,
    last_id: Option<String>,
    event: Option<String>,
    data: Option<String>,
}

impl SseParser {
    /// Takes the next bytes, and appends the frames that they complete to `frames`.
    ///
    /// # Errors
    ///
    /// [`FrameTooLong`]; the stream is of no use any more then.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        frames: &mut Vec<Frame>,
    ) -> Result<(), FrameTooLong> {
        for &byte in bytes {
            let ends_line = match byte {
                b'\n' => !self.after_return,
                b'\r' => true,
                _ => {
                    self.line.push(byte);
                    false
                }
            };
            self.after_return = byte == b'\r';
            if ends_line {
                self.end_line(frames);
            }
            if self.line.len() + self.data.as_ref().map_or(0, String::len) > FRAME_LIMIT {
                return Err(FrameTooLong);
            }
        }
        Ok(())
    }

    /// The id that was read last, with an event or alone.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    fn end_line(&mut self, frames: &mut Vec<Frame>) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line =
            if self.is_begun { &line } else { line.strip_prefix('\u{feff}').unwrap_or(&line) };
        self.is_begun = true;

        if line.is_empty() {
            frames.extend(self.dispatch());
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            "event" => self.event = Some(value.to_owned()),
            "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
            // A comment (no name before the colon) or a field of no interest.
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<Frame> {
        let event = self.event.take();
        let data = self.data.take()?;
        Some(Frame { id: self.last_id.clone(), event, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Vec<Frame> {
        let mut frames = Vec::new();
        SseParser::default().push(text.as_bytes(), &mut frames).unwrap();
        frames
    }

    fn frame(id: Option<&str>, event: Option<&str>, data: &str) -> Frame {
        Frame { id: id.map(str::to_owned), event: event.map(str::to_owned), data: data.to_owned() }
    }

    #[test]
    fn a_frame_has_id_event_and_data() {
        assert_eq!(
            parse("id: 7-x:1\nevent: reset\ndata: {\"a\":1}\n\n"),
            [frame(Some("7-x:1"), Some("reset"), "{\"a\":1}")]
        );
    }

    #[test]
    fn an_id_stays_until_the_next_one() {
        assert_eq!(
            parse("id: 1\ndata: a\n\ndata: b\n\n"),
            [frame(Some("1"), None, "a"), frame(Some("1"), None, "b")]
        );
    }

    #[test]
    fn comments_and_frames_without_data_are_no_frames() {
        assert_eq!(
            parse(": keepalive\n\nid: 4\n\nevent: x\n\ndata: a\n\n"),
            [frame(Some("4"), None, "a")]
        );
    }

    #[test]
    fn every_line_end_of_the_standard_is_one() {
        for end in ["\n", "\r", "\r\n"] {
            let text = ["data: a", "data:  b", "", ""].join(end);
            assert_eq!(parse(&text), [frame(None, None, "a\n b")], "{end:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped_at_the_start_only() {
        assert_eq!(parse("\u{feff}data: a\n\n"), [frame(None, None, "a")]);
        assert_eq!(parse("data: a\n\n\u{feff}data: b\n\n"), [frame(None, None, "a")]);
    }

    #[test]
    fn a_frame_without_end_is_refused() {
        let mut parser = SseParser::default();
        let block = vec![b'x'; FRAME_LIMIT / 2];
        let mut frames = Vec::new();
        assert_eq!(parser.push(&block, &mut frames), Ok(()));
        assert_eq!(parser.push(&block, &mut frames), Ok(()));
        assert_eq!(parser.push(b"x", &mut frames), Err(FrameTooLong));
    }

    proptest! {
        #[test]
        fn the_network_may_cut_anywhere(
            lines in prop::collection::vec("(data|id|event|: |other)?(: ?)?[a-zé\u{feff}\\r]{0,6}", 0..20),
            size in 1_usize..9,
        ) {
            let text = lines.join("\n") + "\n\n";
            let whole = parse(&text);
            let (mut parser, mut cut) = (SseParser::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                parser.push(piece, &mut cut).unwrap();
            }
            prop_assert_eq!(cut, whole);
        }

        #[test]
        fn what_was_written_is_read(
            frames in prop::collection::vec(("[!-~]{1,12}", "[^\\r\\n\0\u{feff}]{1,20}"), 1..10),
            size in 1_usize..40,
        ) {
            let text = frames.iter().fold(String::new(), |text, (id, data)| {
                format!("{text}id: {id}\ndata: {data}\n\n")
            });
            let (mut parser, mut read) = (SseParser::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                parser.push(piece, &mut read).unwrap();
            }
            let written: Vec<Frame> =
                frames.iter().map(|(id, data)| frame(Some(id), None, data)).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = SseParser::default().push(&bytes, &mut Vec::new());
        }
    }
}
