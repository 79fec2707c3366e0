//! Lists the files below `templates/`, so that every sample workspace is embedded whole.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("templates");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut code = String::new();
    for folder in ["shop", "cafe", "salon", "gym", "courses"] {
        let mut paths = Vec::new();
        walk(&root.join(folder), &mut paths)?;
        paths.sort();
        let constant = folder.to_uppercase();
        let _ = writeln!(code, "/// The files of the template `{folder}`.");
        let _ = writeln!(code, "pub(crate) const {constant}: &[(&str, &str)] = &[");
        for path in paths {
            println!("cargo:rerun-if-changed={}", path.display());
            let relative = path.strip_prefix(root.join(folder)).map_err(io::Error::other)?;
            let name = relative.to_string_lossy().replace('\\', "/");
            let _ =
                writeln!(code, "    ({name:?}, include_str!({:?})),", path.display().to_string());
        }
        code.push_str("];\n");
    }
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default());
    fs::write(out.join("templates.rs"), code)
}

/// Every file below `dir`; hidden ones and editors' backups are left out.
fn walk(dir: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", dir.display());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        if path.is_dir() {
            walk(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}
