//! Wording of messages, by word lists per language: pressure, guilt, promotion in `service`.
//!
//! The lists are the files `words/<language>.txt`: a `[rule]`, then one passage per line in lower
//! case; `#` stands for a number.

use crate::definitions::{Localized, Template};
use crate::finding::{Findings, Source};
use crate::yaml::Place;
use std::collections::BTreeMap;

/// Languages with a list.
const LISTS: &[(&str, &str)] = &[
    ("en", include_str!("words/en.txt")),
    ("pl", include_str!("words/pl.txt")),
    ("de", include_str!("words/de.txt")),
    ("fr", include_str!("words/fr.txt")),
    ("es", include_str!("words/es.txt")),
];
/// Passages reported per text and rule (LIM-1).
const PASSAGES_MAX: usize = 20;

/// A kind of wording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scarcity,
    Guilt,
    Promotion,
}

/// Looks through every text of a template; `service`: whether it is sent for `service`, `file`: the
/// text of a file of the workspace.
pub(super) fn words<'a>(
    findings: &Findings,
    template: &Template,
    service: bool,
    file: &dyn Fn(&str) -> Option<&'a str>,
) {
    for (locale, text) in &template.locales {
        let language = locale.split(['-', '_']).next().unwrap_or_default();
        let Some((_, list)) = LISTS.iter().find(|(name, _)| *name == language) else { continue };
        let passages = passages(list);
        for (file, content) in files(&template.name, locale, text, file) {
            let source = Source { file: &file, findings };
            for (place, passage, kind) in found(&content, &passages) {
                report(source, place, passage, kind, service);
            }
        }
    }
}

/// The header and bodies of one locale: the files as they are written, so that lines are theirs.
fn files<'a>(
    name: &str,
    locale: &str,
    text: &Localized,
    file: &dyn Fn(&str) -> Option<&'a str>,
) -> Vec<(String, String)> {
    let folder = format!("templates/{name}/{locale}");
    let mut files = Vec::new();
    for ending in ["yaml", "mjml", "html", "txt"] {
        let path = format!("{folder}.{ending}");
        let Some(content) = file(&path) else { continue };
        let used = ending == "yaml"
            || content == text.body
            || text.text.as_deref().is_some_and(|text| text == content);
        if used {
            files.push((path, content.to_owned()));
        }
    }
    files
}

fn passages(list: &'static str) -> Vec<(&'static str, Kind)> {
    let mut kind = None;
    let mut passages = Vec::new();
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line {
            "[false-scarcity]" => kind = Some(Kind::Scarcity),
            "[guilt]" => kind = Some(Kind::Guilt),
            "[promotion]" => kind = Some(Kind::Promotion),
            passage => passages.extend(kind.map(|kind| (passage, kind))),
        }
    }
    passages
}

/// Passages of the list in `content`, with their places, in order.
fn found(content: &str, passages: &[(&'static str, Kind)]) -> Vec<(Place, &'static str, Kind)> {
    let mut found = Vec::new();
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (number, line) in (1u32..).zip(content.lines()) {
        let lower = line.to_lowercase().replace('\u{2019}', "'");
        for (passage, kind) in passages {
            let Some(at) = position(&lower, passage) else { continue };
            let count = counts.entry(passage).or_default();
            *count += 1;
            if *count <= PASSAGES_MAX {
                let column = u32::try_from(lower[..at].chars().count() + 1).unwrap_or(1);
                found.push((Place { line: number, column }, *passage, *kind));
            }
        }
    }
    found
}

/// Where `passage` stands in `text` as whole words; its `#` matches digits.
fn position(text: &str, passage: &str) -> Option<usize> {
    let starts = text.char_indices().map(|(at, _)| at);
    let mut before: Option<char> = None;
    for at in starts {
        let here = &text[at..];
        let boundary = before.is_none_or(|before| !before.is_alphanumeric());
        before = here.chars().next();
        if boundary
            && let Some(length) = matches(here, passage)
            && here[length..].chars().next().is_none_or(|next| !next.is_alphanumeric())
        {
            return Some(at);
        }
    }
    None
}

/// Bytes of `text` that `passage` matches at its beginning.
fn matches(text: &str, passage: &str) -> Option<usize> {
    let mut rest = text;
    for (number, part) in passage.split('#').enumerate() {
        if number > 0 {
            let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            if digits.len() == rest.len() {
                return None;
            }
            rest = digits;
        }
        rest = rest.strip_prefix(part)?;
    }
    Some(text.len() - rest.len())
}

fn report(source: Source<'_>, place: Place, passage: &str, kind: Kind, service: bool) {
    match kind {
        Kind::Scarcity => source.warning(
            "false-scarcity",
            place,
            format!("“{passage}” presses people; if it is not true in that moment, it is a lie"),
            "say what is true and until when, from your data, or leave it out",
        ),
        Kind::Guilt => source.warning(
            "guilt",
            place,
            format!("“{passage}” makes people feel bad for saying no"),
            "say it plainly: no is an answer like any other",
        ),
        Kind::Promotion if service => source.warning(
            "service-promotion",
            place,
            format!("“{passage}” is promotion, and this template is sent for `service`, which needs no consent"),
            "take the promotion out, or send it for a purpose that people agreed to",
        ),
        Kind::Promotion => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_are_whole_words_and_numbers() {
        assert_eq!(position("hurry, only 3 left!", "only # left"), Some(7));
        assert_eq!(position("only three left", "only # left"), None);
        assert_eq!(position("resale", "sale"), None);
        assert_eq!(position("the sale.", "sale"), Some(4));
        assert_eq!(position("ząb ostatnia szansa", "ostatnia szansa"), Some(5));
    }

    #[test]
    fn every_list_has_every_kind() {
        for (language, list) in LISTS {
            let passages = passages(list);
            for kind in [Kind::Scarcity, Kind::Guilt, Kind::Promotion] {
                let count = passages.iter().filter(|(_, of)| *of == kind).count();
                assert!(count >= 5, "{language}: {kind:?} has {count}");
            }
            for (passage, _) in &passages {
                assert_eq!(*passage, passage.to_lowercase(), "{language}");
            }
        }
    }
}
