//! YAML 1.2 as a tree in which every node knows its place. Aliases are expanded, within a limit.
//!
//! Scalars stay text: whoever reads one knows what it should be. So `on`, `no` and `08:00` are what
//! was written, and a number keeps its digits.

use crate::finding::Source;
use crate::limits::{YAML_DEPTH_MAX, YAML_NODES_MAX};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::BTreeMap;

/// A place in a file: line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl Place {
    /// The beginning of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: may be a number, a boolean or null.
    Plain,
    /// In quotes, on one line: the content begins one column further.
    Quoted,
    /// A block scalar, or over several lines.
    Block,
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A scalar, as text.
    Scalar(String, Style),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in the order of its text; keys are unique.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a scalar that is not null.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(text, _) if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Whether this is a plain null.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(text, Style::Plain)
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// A plain number of the core schema.
    pub fn number(&self) -> Option<f64> {
        match &self.kind {
            Kind::Scalar(text, Style::Plain)
                if text.bytes().any(|byte| byte.is_ascii_digit())
                    && text.bytes().all(|byte| b"0123456789+-.eE".contains(&byte)) =>
            {
                text.parse().ok().filter(|number: &f64| number.is_finite())
            }
            _ => None,
        }
    }

    /// A plain boolean of the core schema: `true`, `false`.
    pub fn boolean(&self) -> Option<bool> {
        match &self.kind {
            Kind::Scalar(text, Style::Plain) => match text.as_str() {
                "true" | "True" | "TRUE" => Some(true),
                "false" | "False" | "FALSE" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Scalar(..) if self.is_null() => "nothing".to_owned(),
            Kind::Scalar(text, _) => {
                let short: String = text.chars().take(40).collect();
                format!("`{short}`")
            }
            Kind::Sequence(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// The value of `key` in a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Mapping(entries) => {
                entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }
}

/// Reads a file that is no part of a workspace, such as the map of an import: its tree, or the
/// findings that say why it has none.
pub fn parse(text: &str, file: &str) -> Result<Node, Vec<crate::Finding>> {
    let findings = crate::finding::Findings::default();
    let root = read(text, &Source { file, findings: &findings });
    root.ok_or_else(|| findings.finish())
}

/// Reads the one document of `text`. What is wrong becomes findings; `None`: it cannot be read.
/// An empty file is an empty mapping.
pub(crate) fn read(text: &str, source: &Source<'_>) -> Option<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder =
        Builder { source, open: Vec::new(), anchors: BTreeMap::new(), nodes: 0, root: None };
    let mut parser = Parser::new_from_str(text);
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(next) => next,
            Err(error) => {
                let place = place_of(*error.marker());
                source.error(
                    "yaml-syntax",
                    place,
                    format!("this is not YAML: {}", error.info()),
                    "mend the line named here or the one before it; an editor with YAML support shows it",
                );
                return None;
            }
        };
        match event {
            Event::StreamEnd => break,
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    source.error(
                        "yaml-syntax",
                        place_of(span.start),
                        "a second document begins here",
                        "keep one document per file",
                    );
                    return None;
                }
            }
            event => builder.event(event, span)?,
        }
    }
    Some(builder.root.unwrap_or(Node { place: Place::START, kind: Kind::Mapping(Vec::new()) })).map(
        |root| if root.is_null() { Node { kind: Kind::Mapping(Vec::new()), ..root } } else { root },
    )
}

fn place_of(marker: saphyr_parser::Marker) -> Place {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place { line: count(marker.line()).max(1), column: count(marker.col()).saturating_add(1) }
}

/// A list or mapping whose end has not come yet.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<Node>,
}

struct Builder<'a> {
    source: &'a Source<'a>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let place = place_of(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced =
                    tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let one_line = span.start.line() == span.end.line();
                let style = match style {
                    ScalarStyle::Plain if !forced && one_line => Style::Plain,
                    ScalarStyle::Plain if !forced => Style::Block,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted if one_line => {
                        Style::Quoted
                    }
                    ScalarStyle::Plain => Style::Quoted,
                    _ => Style::Block,
                };
                let node = Node { place, kind: Kind::Scalar(text.into_owned(), style) };
                self.done(node, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(place, Kind::Sequence(Vec::new()), anchor)
            }
            Event::MappingStart(anchor, _) => self.begin(place, Kind::Mapping(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                let size = if open.anchor > 0 { size(&open.node) } else { 1 };
                self.done(open.node, open.anchor, size)
            }
            Event::Alias(anchor) => {
                let Some(size) = self.anchors.get(&anchor).map(|(_, size)| *size) else {
                    self.source.error(
                        "yaml-syntax",
                        place,
                        "this alias names an anchor that is not complete here",
                        "write the value out",
                    );
                    return None;
                };
                self.count(size, place)?;
                let node = Node { place, ..self.anchors.get(&anchor)?.0.clone() };
                self.put(node)
            }
            _ => Some(()),
        }
    }

    fn begin(&mut self, place: Place, kind: Kind, anchor: usize) -> Option<()> {
        if self.open.len() >= YAML_DEPTH_MAX {
            self.source.error(
                "limit",
                place,
                format!("this is nested deeper than {YAML_DEPTH_MAX} levels"),
                "make it flatter",
            );
            return None;
        }
        self.open.push(Open { node: Node { place, kind }, anchor, key: None });
        Some(())
    }

    fn done(&mut self, node: Node, anchor: usize, size: usize) -> Option<()> {
        self.count(1, node.place)?;
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        self.put(node)
    }

    /// LIM-1: a few nested aliases could otherwise stand for more nodes than memory holds.
    fn count(&mut self, nodes: usize, place: Place) -> Option<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= YAML_NODES_MAX {
            return Some(());
        }
        self.source.error(
            "limit",
            place,
            format!("this file has more than {YAML_NODES_MAX} values, aliases written out"),
            "split it into several files or use fewer aliases",
        );
        None
    }

    fn put(&mut self, node: Node) -> Option<()> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        match &mut open.node.kind {
            Kind::Sequence(items) => items.push(node),
            Kind::Mapping(entries) => match open.key.take() {
                None => open.key = Some(node),
                Some(key) => {
                    let text = key.text().map(str::to_owned);
                    if let Some((first, _)) = entries
                        .iter()
                        .find(|(other, _)| text.is_some() && other.text() == text.as_deref())
                    {
                        self.source.error(
                            "duplicate-key",
                            key.place,
                            format!(
                                "key {} is given twice (first in line {})",
                                key.describe(),
                                first.place.line
                            ),
                            "keep one of the two",
                        );
                    } else {
                        entries.push((key, node));
                    }
                }
            },
            Kind::Scalar(..) => {}
        }
        Some(())
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Scalar(..) => 0,
        Kind::Sequence(items) => items.iter().map(size).sum(),
        Kind::Mapping(entries) => entries.iter().map(|(key, value)| size(key) + size(value)).sum(),
    }
}
