//! `sojourn init`: writes a workspace to begin with.

use super::Globals;
use crate::exit::{Exit, usage};
use crate::templates::{ALL, Template};
use crate::term::{self, Ink, paint};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Write a complete, commented workspace
#[derive(Debug, Args)]
#[command(after_help = "Example: sojourn init my-shop --template shop")]
pub(crate) struct Init {
    /// Folder to write; made when it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Which sample: shop, cafe, salon, gym or courses
    #[arg(long, default_value = "shop", value_name = "NAME")]
    template: String,
    /// Write into a folder that is not empty; a file that is there already is never overwritten
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit> {
        let template = find(&self.template)?;
        let empty = match std::fs::read_dir(&self.dir) {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => true,
        };
        if !empty && !self.force {
            return Err(usage(format!(
                "{} is not empty: choose another folder, or add --force to write beside what is there",
                self.dir.display()
            )));
        }
        let written = write(&self.dir, template)?;
        if globals.json {
            term::json(&json!({ "dir": self.dir, "template": template.name, "files": written }))?;
            return Ok(Exit::Done);
        }
        report(&self.dir, template, &written);
        Ok(Exit::Done)
    }
}

/// The template named `name`, or an error that lists those there are.
pub(crate) fn find(name: &str) -> Result<&'static Template> {
    ALL.iter().find(|template| template.name == name).ok_or_else(|| {
        let names: Vec<_> = ALL.iter().map(|other| other.name).collect();
        usage(format!("there is no template `{name}`: take one of {}", names.join(", ")))
    })
}

/// Writes the files of `template` below `dir`, none over another; gives their paths.
pub(crate) fn write(dir: &Path, template: &Template) -> Result<Vec<&'static str>> {
    let mut written = Vec::new();
    for (path, content) in template.files {
        let target = dir.join(path);
        let folder = target.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        if target.exists() {
            term::remark(&format!("kept {}, which was there", target.display()));
            continue;
        }
        std::fs::write(&target, content)
            .with_context(|| format!("cannot write {}", target.display()))?;
        written.push(*path);
    }
    Ok(written)
}

fn report(dir: &Path, template: &Template, written: &[&str]) {
    let journeys = written.iter().filter(|path| path.starts_with("journeys/")).count();
    let mut messages: Vec<_> = written
        .iter()
        .filter_map(|path| path.strip_prefix("templates/")?.split('/').next())
        .collect();
    messages.dedup();
    term::line(&format!(
        "{} {}: {}, with {journeys} journeys and {} messages in {} files",
        paint(Ink::Good, "wrote"),
        paint(Ink::Bold, &dir.display().to_string()),
        template.about,
        messages.len(),
        written.len(),
    ));
    term::line("");
    for (command, about) in [
        (format!("sojourn lint {}", dir.display()), "check it"),
        (format!("sojourn test {}", dir.display()), "see its scenarios hold"),
        (format!("sojourn up {}", dir.display()), "run it; messages land in data/outbox"),
        (format!("less {}", dir.join("README.md").display()), "what to try"),
    ] {
        term::line(&format!("  {} {}", term::pad(&command, 34), paint(Ink::Dim, about)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("policy.yaml"), "mine").unwrap();
        let template = find("shop").unwrap();
        let written = write(dir.path(), template).unwrap();
        assert_eq!(written.len(), template.files.len() - 1);
        assert_eq!(std::fs::read_to_string(dir.path().join("policy.yaml")).unwrap(), "mine");
    }

    #[test]
    fn an_unknown_template_lists_those_there_are() {
        let error = find("shp").unwrap_err().to_string();
        assert!(error.contains("no template `shp`") && error.contains("salon"), "{error}");
    }
}
