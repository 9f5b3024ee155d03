//! Drawing lines in place, and leaving the terminal as it was.

use std::io::{self, IsTerminal, Stdout, Write};

use crossterm::cursor::{Hide, MoveToColumn, MoveUp, Show};
use crossterm::queue;
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};

use super::board::{Line, Tone, WIDTH};

/// The lines below the cursor's first position, drawn over and over.
///
/// It neither takes over the whole screen nor changes how the terminal takes
/// input: ^C works as ever, and the last table stays to be read.
#[derive(Debug)]
pub(super) struct Screen {
    out: Stdout,
    /// How many lines were drawn the last time.
    height: u16,
}

impl Screen {
    /// The screen, if standard output is a terminal that is large enough.
    ///
    /// # Errors
    ///
    /// If it cannot be written to.
    pub(super) fn open(height: usize) -> io::Result<Option<Self>> {
        let out = io::stdout();
        let is_large_enough = out.is_terminal()
            && terminal::size().is_ok_and(|(columns, rows)| {
                usize::from(columns) >= WIDTH && usize::from(rows) > height
            });
        if !is_large_enough {
            return Ok(None);
        }
        let mut screen = Self { out, height: 0 };
        queue!(screen.out, Hide)?;
        screen.out.flush()?;
        Ok(Some(screen))
    }

    /// Draws `lines` over those drawn before.
    ///
    /// # Errors
    ///
    /// If the terminal cannot be written to.
    pub(super) fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        queue!(self.out, BeginSynchronizedUpdate, MoveToColumn(0))?;
        if self.height > 0 {
            queue!(self.out, MoveUp(self.height))?;
        }
        for line in lines {
            for (tone, text) in line {
                self.print(*tone, text)?;
            }
            queue!(self.out, Clear(ClearType::UntilNewLine), Print("\r\n"))?;
        }
        queue!(self.out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
        self.height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        self.out.flush()
    }

    fn print(&mut self, tone: Tone, text: &str) -> io::Result<()> {
        let color = match tone {
            Tone::Plain => None,
            Tone::Title => {
                queue!(self.out, SetAttribute(Attribute::Bold))?;
                None
            }
            Tone::Faint => Some(Color::DarkGrey),
            Tone::Good => Some(Color::Green),
            Tone::Bad => Some(Color::Red),
            Tone::Busy => Some(Color::Cyan),
        };
        if let Some(color) = color {
            // Writes nothing where NO_COLOR is set.
            queue!(self.out, SetForegroundColor(color))?;
        }
        queue!(self.out, Print(text), SetAttribute(Attribute::Reset), ResetColor)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to be told if the terminal is gone.
        let _ = queue!(self.out, SetAttribute(Attribute::Reset), ResetColor, Show);
        let _ = self.out.flush();
    }
}
