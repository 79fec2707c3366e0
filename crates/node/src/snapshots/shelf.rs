//! Where the files of a snapshot lie: a folder, or whatever else can keep named files.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Keeps named files, each whole or not at all.
pub trait Shelf {
    /// Begins a file; it is there once [`Draft::finish`] has returned.
    fn create(&self, name: &str) -> Result<Box<dyn Draft + '_>>;

    /// A file from its beginning; `None`: there is none of that name.
    fn open(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>>;

    /// For messages.
    fn place(&self) -> String;
}

/// A file that is being written.
pub trait Draft: Write {
    /// Everything is written: the file is durable on return.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A folder.
pub struct FolderShelf {
    folder: PathBuf,
}

impl FolderShelf {
    /// Of `folder`, which may not be there yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }
}

struct FileDraft {
    file: BufWriter<File>,
    draft: PathBuf,
    to: PathBuf,
}

impl Shelf for FolderShelf {
    fn create(&self, name: &str) -> Result<Box<dyn Draft + '_>> {
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        let to = self.folder.join(name);
        let draft = self.folder.join(format!("{name}.draft"));
        // It holds what the house knows of people, and the key of its links.
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file =
            options.open(&draft).with_context(|| format!("cannot write {}", draft.display()))?;
        Ok(Box::new(FileDraft { file: BufWriter::new(file), draft, to }))
    }

    fn open(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>> {
        let path = self.folder.join(name);
        match File::open(&path) {
            Ok(file) => Ok(Some(Box::new(BufReader::new(file)))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => bail!("{}: {error}", path.display()),
        }
    }

    fn place(&self) -> String {
        self.folder.display().to_string()
    }
}

impl Write for FileDraft {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Draft for FileDraft {
    fn finish(mut self: Box<Self>) -> Result<()> {
        let at = || self.to.display().to_string();
        self.file.flush().with_context(at)?;
        self.file.get_ref().sync_all().with_context(at)?;
        std::fs::rename(&self.draft, &self.to).with_context(at)?;
        let folder = self.to.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(at)
    }
}
