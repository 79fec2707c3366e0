//! One process per data folder.

use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Held while a process uses a data folder; released when dropped, and by the system when the
/// process dies.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else uses it.
    #[error("{path} is in use by {holder}: stop it first, or use another data folder")]
    Held {
        /// The folder.
        path: PathBuf,
        /// Who, as they wrote it.
        holder: String,
    },
    /// The lock file cannot be made.
    #[error("{path} cannot be locked: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl DirLock {
    /// Locks `dir`, creating it if need be. `what` tells others who holds it (`sojourn up`).
    pub fn take(dir: &Path, what: &str) -> Result<Self, LockError> {
        let path = dir.join("LOCK");
        let io = |source: std::io::Error| LockError::Io { path: path.clone(), source };
        fs::create_dir_all(dir).map_err(io)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(io)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            let holder =
                if known { holder.trim().to_owned() } else { "another process".to_owned() };
            return Err(LockError::Held { path: dir.to_owned(), holder });
        }
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        writeln!(file, "{what} (process {})", std::process::id()).map_err(io)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_the_folder() {
        let dir = crate::test_folder();
        let first = DirLock::take(dir.path(), "sojourn up").unwrap();
        let error = DirLock::take(dir.path(), "sojourn snapshot").unwrap_err();
        let process = std::process::id();
        assert!(error.to_string().contains(&format!("sojourn up (process {process})")), "{error}");
        drop(first);
        DirLock::take(dir.path(), "sojourn snapshot").unwrap();
    }
}
