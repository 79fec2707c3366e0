//! What a Liquid text reads: the paths of its variables, and which of them it cannot do without.
//!
//! A variable is required unless it has a `default` filter, is only asked about in a condition, or
//! stands inside a condition that asks about it. `links`, `company`, `items` and `recommendations`
//! are always given (that a text reads `items` is told, never as required); names made by `assign`, `capture`, `for` and the like are the text's own.

use sojourn_model::Name;
use std::collections::BTreeMap;

/// Depth of blocks and brackets that the Liquid grammar is given to recurse into (LIM-1).
const DEPTH_MAX: usize = 32;
/// Tags and outputs of one text (LIM-1).
const TAGS_MAX: usize = 5_000;

/// Given by the program itself.
const GIVEN: &[&str] = &["links", "company", "recommendations", "forloop", "tablerowloop"];
/// Given by the engine, which must know who reads it.
const ITEMS: &str = "items";
/// Words of the grammar.
const WORDS: &[&str] = &[
    "true", "false", "nil", "null", "empty", "blank", "and", "or", "contains", "in", "by",
    "reversed", "limit", "offset", "cols", "with", "as", "for",
];

/// Paths read, each with whether it is required somewhere.
pub(crate) type Reads = BTreeMap<Vec<Name>, bool>;

/// What of a text could not be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooDeep;

/// A block that is open.
struct Open {
    tag: String,
    /// Paths that its condition asks about.
    asked: Vec<Vec<Name>>,
    /// Names it makes for its inside.
    locals: Vec<String>,
}

/// Collects what `text` reads.
pub(crate) fn reads(text: &str, reads: &mut Reads) -> Result<(), TooDeep> {
    let mut open: Vec<Open> = Vec::new();
    let mut own: Vec<String> = Vec::new();
    let mut rest = text;
    let mut tags = 0;
    while let Some(start) = rest.find('{') {
        rest = &rest[start..];
        let (end, output) = if rest.starts_with("{{") {
            ("}}", true)
        } else if rest.starts_with("{%") {
            ("%}", false)
        } else {
            rest = &rest[1..];
            continue;
        };
        tags += 1;
        if tags > TAGS_MAX {
            return Err(TooDeep);
        }
        let Some(length) = end_of(&rest[2..], end) else { break };
        let inner = rest[2..2 + length].trim_matches('-').trim();
        rest = &rest[2 + length + 2..];
        if depth_of(inner) > DEPTH_MAX {
            return Err(TooDeep);
        }
        if output {
            note(&chain(inner), &open, &own, reads);
            continue;
        }
        let (tag, arguments) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
        match tag {
            "raw" | "comment" => {
                let close = format!("end{tag}");
                rest = skip(rest, &close);
            }
            "if" | "unless" | "case" | "ifchanged" => {
                let asked = paths(arguments);
                ask(&asked, &open, &own, reads);
                open.push(Open { tag: tag.to_owned(), asked, locals: Vec::new() });
            }
            "elsif" | "when" => {
                let asked = paths(arguments);
                ask(&asked, &open, &own, reads);
                if let Some(block) = open.last_mut() {
                    block.asked.extend(asked);
                }
            }
            "for" | "tablerow" => {
                let (variable, over) = arguments.split_once(" in ").unwrap_or((arguments, ""));
                note(&chain(over), &open, &own, reads);
                let locals = vec![variable.trim().to_owned()];
                open.push(Open { tag: tag.to_owned(), asked: Vec::new(), locals });
            }
            "assign" => {
                let (variable, value) = arguments.split_once('=').unwrap_or((arguments, ""));
                note(&chain(value), &open, &own, reads);
                own.push(variable.trim().to_owned());
            }
            "capture" => {
                own.push(arguments.trim().to_owned());
                open.push(Open { tag: tag.to_owned(), asked: Vec::new(), locals: Vec::new() });
            }
            "increment" | "decrement" => own.push(arguments.trim().to_owned()),
            "cycle" | "include" | "render" => note(&chain(arguments), &open, &own, reads),
            _ => {
                if let Some(closes) = tag.strip_prefix("end")
                    && let Some(place) = open.iter().rposition(|block| block.tag == closes)
                {
                    open.truncate(place);
                }
            }
        }
        if open.len() > DEPTH_MAX {
            return Err(TooDeep);
        }
    }
    Ok(())
}

/// Where `end` begins in `text`, texts in quotes left out.
fn end_of(text: &str, end: &str) -> Option<usize> {
    let mut quote = None;
    for (at, character) in text.char_indices() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if character == '\'' || character == '"' => quote = Some(character),
            None if text[at..].starts_with(end) => return Some(at),
            None => {}
        }
    }
    // An apostrophe outside an expression is no quote: fall back to the plain end.
    text.find(end)
}

/// What follows `{% close %}`.
fn skip<'t>(text: &'t str, close: &str) -> &'t str {
    let mut rest = text;
    while let Some(start) = rest.find("{%") {
        let after = &rest[start + 2..];
        let Some(end) = after.find("%}") else { return "" };
        if after[..end].trim_matches('-').trim() == close {
            return &after[end + 2..];
        }
        rest = &after[end + 2..];
    }
    ""
}

fn depth_of(text: &str) -> usize {
    let (mut open, mut deepest) = (0usize, 0usize);
    for byte in text.bytes() {
        match byte {
            b'[' | b'(' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b')' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A value with its filters: what it reads, and whether a `default` stands in for the first.
struct Chain {
    first: Vec<Vec<Name>>,
    arguments: Vec<Vec<Name>>,
    default: bool,
}

fn chain(text: &str) -> Chain {
    let parts = split_outside_quotes(text, '|');
    let mut chain = Chain {
        first: paths(parts.first().copied().unwrap_or_default()),
        arguments: Vec::new(),
        default: false,
    };
    for filter in parts.iter().skip(1) {
        let (name, arguments) = filter.split_once(':').unwrap_or((filter, ""));
        let read = paths(arguments);
        if name.trim() == "default" {
            chain.default = true;
            // The stand-in itself may be missing as well: nothing is required of it.
            chain.first.extend(read);
        } else {
            chain.arguments.extend(read);
        }
    }
    chain
}

fn split_outside_quotes(text: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut quote = None;
    let mut start = 0;
    for (place, character) in text.char_indices() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if character == '\'' || character == '"' => quote = Some(character),
            None if character == at => {
                parts.push(&text[start..place]);
                start = place + 1;
            }
            None => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The variables in `text`: `a.b`, `a["b"]`, `a[0].b` (an index ends the path).
fn paths(text: &str) -> Vec<Vec<Name>> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'\'' || byte == b'"' {
            at = bytes[at + 1..]
                .iter()
                .position(|&b| b == byte)
                .map_or(bytes.len(), |end| at + end + 2);
        } else if byte.is_ascii_alphabetic() || byte == b'_' {
            let (path, end) = path_at(text, at, &mut found);
            at = end;
            // `name:` is a named argument.
            let named = text[at..].trim_start().starts_with(':') && path.len() == 1;
            let word = path.len() == 1 && WORDS.contains(&&*path[0]);
            if !named && !word {
                found.push(path);
            }
        } else if byte.is_ascii_digit() {
            // The rest of a number, and what is stuck to it, is no name.
            while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'.') {
                at += 1;
            }
        } else {
            at += 1;
        }
    }
    found
}

fn path_at(text: &str, start: usize, found: &mut Vec<Vec<Name>>) -> (Vec<Name>, usize) {
    let bytes = text.as_bytes();
    let word = |mut at: usize| {
        while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || b"_-".contains(&bytes[at]))
        {
            at += 1;
        }
        at
    };
    let mut at = word(start);
    let mut path = vec![Name::from(&text[start..at])];
    let mut open = true;
    while at < bytes.len() {
        if bytes[at] == b'.' {
            let end = word(at + 1);
            if end == at + 1 {
                break;
            }
            if open {
                path.push(Name::from(&text[at + 1..end]));
            }
            at = end;
        } else if bytes[at] == b'[' {
            let Some(length) = text[at..].find(']') else { break };
            let inner = text[at + 1..at + length].trim();
            let quoted = inner.len() >= 2
                && (inner.starts_with('\'') && inner.ends_with('\'')
                    || inner.starts_with('"') && inner.ends_with('"'));
            if quoted && open {
                path.push(Name::from(&inner[1..inner.len() - 1]));
            } else {
                // A computed index: what is below it cannot be named here.
                found.extend(paths(inner));
                open = false;
            }
            at += length + 1;
        } else {
            break;
        }
    }
    // `a.size`, `a.first`, `a.last` are Liquid's own.
    if path.len() > 1 && matches!(&**path.last().expect("has a first"), "size" | "first" | "last") {
        path.pop();
    }
    (path, at)
}

/// The text's own names and the program's are not read from anywhere.
fn is_own(path: &[Name], open: &[Open], own: &[String]) -> bool {
    let first = &*path[0];
    GIVEN.contains(&first)
        || own.iter().any(|name| name == first)
        || open.iter().any(|block| block.locals.iter().any(|name| name == first))
}

fn note(chain: &Chain, open: &[Open], own: &[String], reads: &mut Reads) {
    let mut add = |path: &Vec<Name>, required: bool| {
        if is_own(path, open, own) {
            return;
        }
        if &*path[0] == ITEMS {
            reads.entry(vec![ITEMS.into()]).or_default();
            return;
        }
        let guarded = open.iter().any(|block| block.asked.contains(path));
        let entry = reads.entry(path.clone()).or_default();
        *entry |= required && !guarded;
    };
    for path in &chain.first {
        add(path, !chain.default);
    }
    for path in &chain.arguments {
        add(path, true);
    }
}

fn ask(asked: &[Vec<Name>], open: &[Open], own: &[String], reads: &mut Reads) {
    for path in asked {
        if !is_own(path, open, own) {
            let items = &*path[0] == ITEMS;
            let path = if items { vec![ITEMS.into()] } else { path.clone() };
            reads.entry(path).or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[(&str, bool)]) {
        let mut found = Reads::new();
        reads(text, &mut found).expect("not too deep");
        let found: Vec<(String, bool)> =
            found.into_iter().map(|(path, required)| (path.join("."), required)).collect();
        let expected: Vec<(String, bool)> =
            expected.iter().map(|(path, required)| ((*path).to_owned(), *required)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn finds_variables_and_defaults() {
        check("Hi {{ profile.first_name | default: 'there' }}", &[("profile.first_name", false)]);
        check("{{ event.properties.total }}", &[("event.properties.total", true)]);
        check("{{ a['b c'].d[0].e }}", &[("a.b c.d", true)]);
        check("{{ 'profile.x' | append: run.key }}", &[("run.key", true)]);
        check("{{ x | default: y | upcase }} {{ x }}", &[("x", true), ("y", false)]);
        check("{{ links.unsubscribe }}{{ company.name }}{{ recommendations.size }}", &[]);
        check(
            "{% for i in items %}{{ i.name }}{{ items[0].name }}{% endfor %}",
            &[("items", false)],
        );
        check(
            "{% if items.size > 1 %}{% assign items = x %}{{ items }}{% endif %}",
            &[("items", false), ("x", true)],
        );
        check("{{ \"}}\" | append: z }}", &[("z", true)]);
        check("no {braces} here, it's plain", &[]);
    }

    #[test]
    fn conditions_guard_what_they_ask_about() {
        check(
            "{% if profile.x %}{{ profile.x }}{{ profile.y }}{% endif %}",
            &[("profile.x", false), ("profile.y", true)],
        );
        check("{% if profile.x %}a{% endif %}{{ profile.x }}", &[("profile.x", true)]);
        check("{% case profile.t %}{% when 'a' %}b{% endcase %}", &[("profile.t", false)]);
    }

    #[test]
    fn loops_and_assignments_make_names() {
        check(
            "{% for p in event.properties.products limit: 3 %}{{ p.name }}{{ forloop.index }}{% endfor %}{{ p.name }}",
            &[("event.properties.products", true), ("p.name", true)],
        );
        check("{% assign n = profile.name %}{{ n }}", &[("profile.name", true)]);
        check("{% raw %}{{ a }}{% endraw %}{% comment %}{{ b }}{% endcomment %}", &[]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[{}%|'\"\\[\\]a-z. :é-]{0,60}") {
            let _ = reads(&text, &mut Reads::new());
        }
    }
}
