//! J1 as a file for `sojourn simulate`.

use super::{Generator, Settings, files_with};
use anyhow::Result;
use std::io::Write;
use std::path::Path;

/// Writes `ws/` and `events.jsonl` below `folder`.
pub fn write_events(folder: &Path, settings: Settings, journeys: usize) -> Result<()> {
    for (path, text) in files_with(journeys).0 {
        let path = folder.join("ws").join(path);
        std::fs::create_dir_all(path.parent().expect("below ws"))?;
        std::fs::write(path, text)?;
    }
    let mut out = std::io::BufWriter::new(std::fs::File::create(folder.join("events.jsonl"))?);
    let mut generator = Generator::new(settings);
    while let Some(messages) = generator.prelude() {
        for message in messages {
            writeln!(out, "{}", message.line())?;
        }
    }
    for message in generator {
        writeln!(out, "{}", message.line())?;
    }
    out.flush()?;
    Ok(())
}
