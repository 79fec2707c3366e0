//! A typed reader over a mapping: asks for keys, collects every finding, and at the end reports the
//! keys that nobody asked for.

use crate::duration;
use crate::finding::{Source, nearest, suggest};
use crate::limits::NAME_CHARS_MAX;
use crate::yaml::{Kind, Node, Place};
use sojourn_model::{DurationMs, Name};
use std::cell::RefCell;

/// A mapping being read.
pub(crate) struct Table<'n> {
    pub(crate) source: Source<'n>,
    pub(crate) node: &'n Node,
    /// What it is, for messages: `this cap`, `this step`.
    pub(crate) what: &'static str,
    entries: &'n [(Node, Node)],
    asked: RefCell<Vec<&'static str>>,
}

impl<'n> Table<'n> {
    /// `None`, with a finding, when `node` is no mapping.
    pub(crate) fn new(source: Source<'n>, node: &'n Node, what: &'static str) -> Option<Self> {
        let entries: &[(Node, Node)] = match &node.kind {
            Kind::Mapping(entries) => entries,
            _ if node.is_null() => &[],
            _ => {
                wrong(&source, node, &format!("{what} must be a mapping (`key: value`)"));
                return None;
            }
        };
        Some(Self { source, node, what, entries, asked: RefCell::new(Vec::new()) })
    }

    pub(crate) fn place(&self) -> Place {
        self.node.place
    }

    /// The value of `key`; a null counts as absent.
    pub(crate) fn get(&self, key: &'static str) -> Option<&'n Node> {
        self.asked.borrow_mut().push(key);
        self.entries
            .iter()
            .find(|(name, _)| name.text() == Some(key))
            .map(|(_, value)| value)
            .filter(|value| !value.is_null())
    }

    /// Whether `key` is written, null or not.
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.asked.borrow_mut().push(key);
        self.entries.iter().any(|(name, _)| name.text() == Some(key))
    }

    /// The place of the key itself.
    pub(crate) fn key_place(&self, key: &str) -> Place {
        self.entries
            .iter()
            .find(|(name, _)| name.text() == Some(key))
            .map_or(self.node.place, |(name, _)| name.place)
    }

    /// The value of a key without which the mapping means nothing.
    pub(crate) fn required(&self, key: &'static str) -> Option<&'n Node> {
        let value = self.get(key);
        if value.is_none() {
            self.source.error(
                "missing-key",
                self.place(),
                format!("{} has no `{key}`", self.what),
                format!("add `{key}:`"),
            );
        }
        value
    }

    pub(crate) fn text(&self, key: &'static str) -> Option<Name> {
        name(&self.source, self.get(key)?, key)
    }

    pub(crate) fn required_text(&self, key: &'static str) -> Option<Name> {
        name(&self.source, self.required(key)?, key)
    }

    /// One name or a list of names.
    pub(crate) fn names(&self, key: &'static str) -> Vec<Name> {
        self.get(key).map_or_else(Vec::new, |node| names(&self.source, node, key))
    }

    pub(crate) fn duration(&self, key: &'static str) -> Option<DurationMs> {
        duration(&self.source, self.get(key)?, key)
    }

    pub(crate) fn flag(&self, key: &'static str) -> Option<bool> {
        let node = self.get(key)?;
        let flag = node.boolean();
        if flag.is_none() {
            wrong(&self.source, node, &format!("`{key}` must be `true` or `false`"));
        }
        flag
    }

    pub(crate) fn number(&self, key: &'static str) -> Option<f64> {
        let node = self.get(key)?;
        let number = node.number();
        if number.is_none() {
            wrong(&self.source, node, &format!("`{key}` must be a number"));
        }
        number
    }

    /// A whole number from 0 to 2^32 − 1.
    pub(crate) fn count(&self, key: &'static str) -> Option<u32> {
        let node = self.get(key)?;
        let count = node.number().and_then(whole);
        if count.is_none() {
            wrong(&self.source, node, &format!("`{key}` must be a whole number, 0 or greater"));
        }
        count
    }

    /// A percentage from 0 to 100.
    pub(crate) fn percent(&self, key: &'static str) -> Option<f64> {
        let node = self.get(key)?;
        let number = node.number().filter(|number| (0.0..=100.0).contains(number));
        if number.is_none() {
            wrong(&self.source, node, &format!("`{key}` must be a number from 0 to 100"));
        }
        number
    }

    /// Minutes after midnight, written `09:00`.
    pub(crate) fn time(&self, key: &'static str) -> Option<u16> {
        let node = self.get(key)?;
        let minutes = node.text().and_then(duration::parse_time);
        if minutes.is_none() {
            self.source.error(
                "bad-time",
                node.place,
                format!("`{key}` is {}, not a time of day", node.describe()),
                "write it as \"09:00\", from 00:00 to 23:59",
            );
        }
        minutes
    }

    /// One of `choices`.
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let node = self.get(key)?;
        choice(&self.source, node, key, choices)
    }

    pub(crate) fn table(&self, key: &'static str, what: &'static str) -> Option<Table<'n>> {
        Table::new(self.source, self.get(key)?, what)
    }

    /// The items of a list.
    pub(crate) fn list(&self, key: &'static str) -> &'n [Node] {
        self.get(key).map_or(&[], |node| items(&self.source, node, key))
    }

    /// Every entry, for mappings whose keys are names. Marks them all as asked for.
    pub(crate) fn entries(&self) -> Vec<(Name, Place, &'n Node)> {
        self.entries
            .iter()
            .filter_map(|(key, value)| {
                name(&self.source, key, "name").map(|name| (name, key.place, value))
            })
            .collect()
    }

    /// Reports every key that was not asked for.
    pub(crate) fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.entries {
            let written = key.text().unwrap_or_default();
            if !asked.contains(&written) {
                let mut known = asked.clone();
                known.sort_unstable();
                known.dedup();
                self.source.error(
                    "unknown-key",
                    key.place,
                    format!("{} has no key {}", self.what, key.describe()),
                    suggest_key(written, &known),
                );
            }
        }
    }
}

fn suggest_key(written: &str, known: &[&'static str]) -> String {
    match nearest(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("remove it; known keys: {}", known.join(", ")),
    }
}

pub(crate) fn wrong(source: &Source<'_>, node: &Node, should: &str) {
    source.error(
        "wrong-type",
        node.place,
        format!("{should}, but this is {}", node.describe()),
        "write a value of that kind",
    );
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked here")]
fn whole(number: f64) -> Option<u32> {
    (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number))
        .then_some(number as u32)
}

/// A short text: a name, or anything else in one scalar.
pub(crate) fn name(source: &Source<'_>, node: &Node, key: &str) -> Option<Name> {
    let Some(text) = node.text() else {
        wrong(source, node, &format!("`{key}` must be text"));
        return None;
    };
    Some(text.into())
}

/// A name that other things refer to: not empty, not too long, no control characters.
pub(crate) fn checked_name(source: &Source<'_>, place: Place, name: &str, what: &str) -> bool {
    let fine = !name.trim().is_empty()
        && name.chars().count() <= NAME_CHARS_MAX
        && !name.chars().any(char::is_control);
    if !fine {
        source.error(
            "bad-name",
            place,
            format!("{what} needs a name of 1 to {NAME_CHARS_MAX} printable characters"),
            "choose a short name",
        );
    }
    fine
}

pub(crate) fn names(source: &Source<'_>, node: &Node, key: &'static str) -> Vec<Name> {
    match &node.kind {
        Kind::Sequence(items) => {
            let mut names: Vec<Name> = Vec::with_capacity(items.len());
            for item in items {
                if let Some(next) = name(source, item, key) {
                    if names.contains(&next) {
                        source.warning(
                            "duplicate",
                            item.place,
                            format!("`{next}` is listed twice in `{key}`"),
                            "keep one of the two",
                        );
                    } else {
                        names.push(next);
                    }
                }
            }
            names
        }
        _ => name(source, node, key).into_iter().collect(),
    }
}

pub(crate) fn items<'n>(source: &Source<'_>, node: &'n Node, key: &str) -> &'n [Node] {
    match &node.kind {
        Kind::Sequence(items) => items,
        _ => {
            wrong(source, node, &format!("`{key}` must be a list (`- …`)"));
            &[]
        }
    }
}

pub(crate) fn duration(source: &Source<'_>, node: &Node, key: &str) -> Option<DurationMs> {
    let duration = node.text().and_then(duration::parse);
    if duration.is_none() {
        source.error(
            "bad-duration",
            node.place,
            format!("`{key}` is {}, not a duration", node.describe()),
            "write a number and a unit, such as 90m, 24h, 30d or 2w",
        );
    }
    duration
}

pub(crate) fn choice<T: Copy>(
    source: &Source<'_>,
    node: &Node,
    key: &str,
    choices: &[(&str, T)],
) -> Option<T> {
    let written = node.text().unwrap_or_default();
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == written) {
        return Some(*value);
    }
    source.error(
        "unknown-value",
        node.place,
        format!("`{key}` cannot be {}", node.describe()),
        suggest(written, choices.iter().map(|(name, _)| *name), "choose a known value"),
    );
    None
}
