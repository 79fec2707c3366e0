//! `templates/<name>/<locale>.yaml` with the body beside it.

use super::parse;
use crate::definitions::{BodyKind, Localized, Template, Workspace};
use crate::files::Files;
use crate::finding::{Findings, Source, suggest};
use crate::limits;
use crate::liquid_reads::{self, Reads};
use crate::reader::{Table, checked_name};
use crate::yaml::{Node, Place};
use sojourn_model::Name;
use std::collections::{BTreeMap, BTreeSet};

/// The Liquid dialect of templates: what the lint parses is what the dispatcher renders.
///
/// # Panics
/// Never: the standard library of filters, tags and blocks always builds.
pub fn liquid_parser() -> liquid::Parser {
    let builder = liquid::ParserBuilder::with_stdlib().block(crate::liquid_comment::Comment);
    builder.build().expect("the standard library builds")
}

/// All templates, and the names of those that could not be read.
pub(super) fn load_all(
    files: &Files,
    findings: &Findings,
    workspace: &Workspace,
) -> (BTreeMap<Name, Template>, BTreeSet<Name>) {
    let parser = liquid_parser();
    let mut templates: BTreeMap<Name, Template> = BTreeMap::new();
    let mut broken = BTreeSet::new();
    for file in files.0.keys().filter(|file| file.starts_with("templates/")) {
        let parts: Vec<&str> = file.split('/').collect();
        let ["templates", name, leaf] = parts.as_slice() else { continue };
        let Some(locale) = leaf.strip_suffix(".yaml").filter(|_| Files::is_workspace_file(file))
        else {
            continue;
        };
        let source = Source { file, findings };
        let name = Name::from(*name);
        if !checked_name(&source, Place::START, &name, "a template") {
            continue;
        }
        if templates.len() >= limits::TEMPLATES_MAX {
            source.error(
                "limit",
                Place::START,
                format!("there are more than {} templates", limits::TEMPLATES_MAX),
                "remove those that nothing uses",
            );
            break;
        }
        let folder = format!("templates/{name}");
        let localized = match parse(files, file, findings) {
            Ok(Some(root)) => load(source, &root, files, &folder, locale, &parser),
            _ => None,
        };
        match localized {
            Some(localized) => {
                templates
                    .entry(name.clone())
                    .or_insert_with(|| Template { name, locales: BTreeMap::new() })
                    .locales
                    .insert(locale.into(), localized);
            }
            None => {
                broken.insert(name);
            }
        }
    }
    for (name, template) in &templates {
        let first = workspace.locales.first();
        if let Some(first) = first
            && !template.locales.contains_key(first)
        {
            let file = format!(
                "templates/{name}/{}.yaml",
                template.locales.keys().next().map_or("", |key| key)
            );
            Source { file: &file, findings }.warning(
                "missing-locale",
                Place::START,
                format!("template `{name}` has no text in `{first}`, the workspace's first locale"),
                format!(
                    "write templates/{name}/{first}.yaml: it is what people of other locales get"
                ),
            );
        }
    }
    (templates, broken)
}

fn load(
    source: Source<'_>,
    root: &Node,
    files: &Files,
    folder: &str,
    locale: &str,
    parser: &liquid::Parser,
) -> Option<Localized> {
    let table = Table::new(source, root, "this template")?;
    let mut localized = Localized::default();
    let mut reads = Reads::new();
    let mut sound = true;
    for key in ["subject", "preheader"] {
        let Some(node) = table.get(key) else { continue };
        let text = crate::reader::name(&source, node, key)?.to_string();
        sound &= liquid(&source, node.place, key, &text, parser, &mut reads);
        if key == "subject" { localized.subject = text } else { localized.preheader = text }
    }
    let body = table.required("body");
    localized.link_tracking = table.flag("link_tracking").unwrap_or(false);
    localized.promotional = table.flag("promotional").unwrap_or(false);
    table.get("note");
    table.finish();
    let body = body?;
    let name = crate::reader::name(&source, body, "body")?;
    localized.body_kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("txt") => BodyKind::Text,
        Some("html") => BodyKind::Html,
        Some("mjml") => BodyKind::Mjml,
        _ => {
            source.error(
                "body-kind",
                body.place,
                format!("`body` is {}, not the name of a body", body.describe()),
                format!(
                    "name a file beside this one: {locale}.mjml, {locale}.html or {locale}.txt"
                ),
            );
            return None;
        }
    };
    let path = format!("{folder}/{name}");
    let Some(text) = files.0.get(&path).filter(|_| Files::is_workspace_file(&path)) else {
        let beside = files.0.keys().filter_map(|file| file.strip_prefix(folder)?.strip_prefix('/'));
        let beside: Vec<&str> = beside.filter(|name| !name.ends_with(".yaml")).collect();
        source.error(
            "missing-file",
            body.place,
            format!("there is no {path}"),
            suggest(&name, beside, "write it beside this file"),
        );
        return None;
    };
    sound &= body_text(&source, &path, text, parser, &mut reads);
    localized.body = text.clone();
    let plain = format!("{folder}/{locale}.txt");
    if localized.body_kind != BodyKind::Text
        && let Some(text) = files.0.get(&plain)
    {
        sound &= body_text(&source, &plain, text, parser, &mut reads);
        localized.text = Some(text.clone());
    }
    for (path, required) in reads {
        let path: crate::Path = path.into();
        if required {
            localized.required.push(path.clone());
        }
        localized.variables.push(path);
    }
    sound.then_some(localized)
}

fn body_text(
    source: &Source<'_>,
    path: &str,
    text: &str,
    parser: &liquid::Parser,
    reads: &mut Reads,
) -> bool {
    let body = Source { file: path, findings: source.findings };
    if text.len() > limits::FILE_BYTES_MAX {
        body.error(
            "limit",
            Place::START,
            format!("this file is larger than {} bytes", limits::FILE_BYTES_MAX),
            "shorten it; images belong on a server",
        );
        return false;
    }
    liquid(&body, Place::START, "body", text, parser, reads)
}

/// Parses `text` as Liquid and collects what it reads.
fn liquid(
    source: &Source<'_>,
    place: Place,
    key: &str,
    text: &str,
    parser: &liquid::Parser,
    reads: &mut Reads,
) -> bool {
    // The grammar recurses: what is too deep for it is refused before it sees it.
    if liquid_reads::reads(text, reads).is_err() {
        source.error(
            "limit",
            place,
            format!("`{key}` has too many or too deeply nested tags"),
            "simplify it",
        );
        return false;
    }
    let Err(error) = parser.parse(text) else { return true };
    let message = error.to_string();
    let (line, column) = position(&message);
    let at = if place == Place::START { Place { line, column } } else { place };
    let reason: Vec<&str> = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains('|') && !line.starts_with("-->"))
        .collect();
    let reason = reason.join(" ");
    source.error(
        "liquid-syntax",
        at,
        format!(
            "`{key}` is not Liquid: {}",
            reason.trim_start_matches("liquid: ").trim_start_matches("= ")
        ),
        "mend the tag; close every {% if %} and {% for %}",
    );
    false
}

/// `--> 3:7` in the parser's message.
fn position(message: &str) -> (u32, u32) {
    let read = || {
        let rest = message.split("-->").nth(1)?.lines().next()?.trim();
        let (line, column) = rest.split_once(':')?;
        Some((line.trim().parse().ok()?, column.trim().parse().ok()?))
    };
    read().unwrap_or((1, 1))
}
