//! The terminal: colour when somebody looks, plain text when not; progress on stderr.

use crate::pace::instant;
use clap::ValueEnum;
use owo_colors::{OwoColorize, Style};
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    // No doc comments: they would make `--help` twice as long.
    #[default]
    Auto,
    Always,
    Never,
}

/// Width that is assumed where there is no terminal.
const WIDTH_DEFAULT: usize = 100;
/// Lines are never laid out wider than this: long lines are hard to read.
const WIDTH_MAX: usize = 140;
/// Narrower than this nothing can be laid out.
const WIDTH_MIN: usize = 60;
/// Nothing shows progress before this has passed.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);
/// Shortest time between two repaints of a progress line.
const PROGRESS_EVERY: Duration = Duration::from_millis(120);

static COLORED: OnceLock<bool> = OnceLock::new();

/// Decides once whether output is coloured.
pub(crate) fn init(color: Color) {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let colored = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if set("NO_COLOR") => false,
        Color::Auto if set("CLICOLOR_FORCE") => true,
        Color::Auto => {
            std::io::stdout().is_terminal()
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    };
    // A second call can only come from a test; the first decision stands.
    let _ = COLORED.set(colored);
}

/// Whether log lines on stderr are coloured.
pub(crate) fn is_colored_stderr() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// What a piece of text is; the colours are chosen in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "a palette is kept whole")]
pub(crate) enum Ink {
    /// Says less.
    Dim,
    /// Says more.
    Bold,
    /// It worked, it went out.
    Good,
    /// It was refused.
    Bad,
    /// It waits; look here.
    Warn,
    /// A journey.
    Journey,
    /// A person.
    Person,
    /// A channel or a place.
    Place,
}

/// `text` in its colour, or as it is.
pub(crate) fn paint(ink: Ink, text: &str) -> String {
    if !COLORED.get().copied().unwrap_or(false) {
        return text.to_owned();
    }
    let style = match ink {
        Ink::Dim => Style::new().bright_black(),
        Ink::Bold => Style::new().bold(),
        Ink::Good => Style::new().green(),
        Ink::Bad => Style::new().red(),
        Ink::Warn => Style::new().yellow(),
        Ink::Journey => Style::new().magenta(),
        Ink::Person => Style::new().bold(),
        Ink::Place => Style::new().cyan(),
    };
    text.style(style).to_string()
}

/// Columns of the terminal, within reason.
pub(crate) fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .or_else(|| std::env::var("COLUMNS").ok()?.parse().ok())
        .unwrap_or(WIDTH_DEFAULT);
    columns.clamp(WIDTH_MIN, WIDTH_MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "nobody reads on: the end of `sojourn … | head`, with nothing left to flush"
)]
/// Writes one line to stdout. A reader that went away (`| head`) ends the program quietly.
pub(crate) fn line(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Writes a JSON document to stdout: indented for people, on one line for `jq` alike.
pub(crate) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// An error and its causes on stderr.
pub(crate) fn error(error: &anyhow::Error) {
    let mut causes = error.chain().map(ToString::to_string).collect::<Vec<_>>();
    causes.dedup();
    eprintln!("{} {}", paint(Ink::Bad, "error:"), causes.join(": "));
}

/// A remark on stderr.
pub(crate) fn remark(text: &str) {
    eprintln!("{text}");
}

/// A line on stderr that tells how far a long command is; silent for the first second and where
/// nobody looks.
pub(crate) struct Progress {
    what: &'static str,
    total: Option<u64>,
    begun: Instant,
    painted: Option<Instant>,
    visible: bool,
}

impl Progress {
    /// `total`: how many there will be, when that is known.
    pub(crate) fn new(what: &'static str, total: Option<u64>) -> Self {
        let visible = std::io::stderr().is_terminal();
        Self { what, total, begun: instant(), painted: None, visible }
    }

    /// So many are done.
    pub(crate) fn at(&mut self, done: u64) {
        if !self.visible || self.begun.elapsed() < PROGRESS_AFTER {
            return;
        }
        if self.painted.is_some_and(|painted| painted.elapsed() < PROGRESS_EVERY) {
            return;
        }
        self.painted = Some(instant());
        let rate = done as f64 / self.begun.elapsed().as_secs_f64();
        let text = match self.total {
            Some(total) if total > 0 => {
                let share = done.min(total) as f64 / total as f64;
                format!("{} {} {:3.0} %", bar(share, 30), self.what, share * 100.0)
            }
            _ => format!("{} {}", grouped(done), self.what),
        };
        eprint!("\r\x1b[K{text}  {}/s", grouped(rate as u64));
        // A lost repaint is no loss.
        let _ = std::io::stderr().flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.painted.is_some() {
            eprint!("\r\x1b[K");
            let _ = std::io::stderr().flush();
        }
    }
}

/// A bar of `width` cells, filled to `share` (0 to 1).
pub(crate) fn bar(share: f64, width: usize) -> String {
    let filled = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("{}{}", "█".repeat(filled), "░".repeat(width - filled))
}

/// `69,659`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `text` cut or filled to exactly `width` characters; a cut ends in `…`.
pub(crate) fn fit(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return format!("{text}{}", " ".repeat(width - count));
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// `text` filled to `width` characters; a longer one stays whole.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
}

/// `text` broken between words: the first line fits `first`, the others `width`. A word that is
/// longer than a line stays whole; beyond `lines_max` lines the text is cut.
pub(crate) fn wrap(text: &str, first: usize, width: usize, lines_max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let limit = if lines.is_empty() { first } else { width };
        let longer = line.chars().count() + usize::from(!line.is_empty()) + word.chars().count();
        if longer <= limit || line.is_empty() && !lines.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        } else if lines.len() + 1 < lines_max {
            lines.push(std::mem::replace(&mut line, word.to_owned()));
        } else {
            line.push('…');
            break;
        }
    }
    lines.push(line);
    lines
}

/// Text from outside without control characters: nobody's name may move the cursor.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(69_659), "69,659");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn text_fits_its_column() {
        assert_eq!(fit("Ada", 5), "Ada  ");
        assert_eq!(fit("Żaneta", 6), "Żaneta");
        assert_eq!(fit("Bartholomew", 6), "Barth…");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\n"), "a [2Jb ");
    }
}
