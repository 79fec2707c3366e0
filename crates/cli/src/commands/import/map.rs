//! map.yaml: what the columns of a CSV file mean.

use crate::exit::{unreachable, usage};
use crate::when::TimeFormat;
use anyhow::Result;
use chrono_tz::Tz;
use sojourn_rules::yaml::{self, Kind, Node};
use std::path::Path;

/// How columns are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delimiter {
    /// One byte, with the quoting rules of CSV.
    Byte(u8),
    /// Any run of blanks; no quoting.
    Whitespace,
}

/// Type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// As written.
    Text,
    /// A number.
    Number,
    /// `true`, `yes`, `1` and their opposites.
    Boolean,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// A column, by name.
    Column(String),
    /// The same in every row.
    Value(String),
}

/// One value of a touchpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) from: From,
    pub(super) kind: Type,
    /// Stands before the value.
    pub(super) prefix: String,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Map {
    pub(super) delimiter: Delimiter,
    pub(super) header: bool,
    pub(super) columns: Vec<String>,
    pub(super) zone: Tz,
    pub(super) event: Field,
    pub(super) timestamp: Field,
    pub(super) format: TimeFormat,
    pub(super) user_id: Option<Field>,
    pub(super) anonymous_id: Option<Field>,
    pub(super) message_id: Option<Field>,
    pub(super) properties: Vec<(String, Field)>,
    pub(super) traits: Vec<(String, Field)>,
}

const KEYS: [&str; 11] = [
    "delimiter",
    "header",
    "columns",
    "time_zone",
    "event",
    "timestamp",
    "userId",
    "anonymousId",
    "messageId",
    "properties",
    "traits",
];

impl Map {
    /// Reads the file at `path`; times without a zone are in `zone` unless the file says otherwise.
    pub(super) fn read(path: &Path, zone: Tz) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| unreachable(format!("cannot read {}: {error}", path.display())))?;
        Self::parse(&text, &path.display().to_string(), zone)
    }

    /// Reads the text of `file`.
    pub(super) fn parse(text: &str, file: &str, zone: Tz) -> Result<Self> {
        let root = yaml::parse(text, file).map_err(|findings| {
            let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
            usage(lines.join("\n"))
        })?;
        let reader = Reader { file, root: &root };
        for (key, _) in reader.entries(&root)? {
            if !KEYS.contains(&key.text().unwrap_or("")) {
                return Err(reader.wrong(
                    key,
                    &format!("unknown key {}: it can be {}", key.describe(), KEYS.join(", ")),
                ));
            }
        }
        let (timestamp, format) = reader.timestamp()?;
        let map = Self {
            delimiter: reader.delimiter()?,
            header: reader.flag("header", true)?,
            columns: reader.columns()?,
            zone: reader.zone(zone)?,
            event: reader.event()?,
            timestamp,
            format,
            user_id: reader.optional("userId")?,
            anonymous_id: reader.optional("anonymousId")?,
            message_id: reader.optional("messageId")?,
            properties: reader.fields("properties")?,
            traits: reader.fields("traits")?,
        };
        if map.user_id.is_none() && map.anonymous_id.is_none() && map.traits.is_empty() {
            return Err(usage(format!(
                "{file}: nothing says who a row is about: add `userId:`, `anonymousId:` or `traits:`"
            )));
        }
        if !map.header && map.columns.is_empty() {
            return Err(usage(format!(
                "{file}: without a header the columns need names: add `columns: [a, b]`"
            )));
        }
        Ok(map)
    }
}

struct Reader<'a> {
    file: &'a str,
    root: &'a Node,
}

impl<'a> Reader<'a> {
    fn wrong(&self, node: &Node, what: &str) -> anyhow::Error {
        usage(format!("{}:{}:{}: {what}", self.file, node.place.line, node.place.column))
    }

    fn entries(&self, node: &'a Node) -> Result<&'a [(Node, Node)]> {
        match &node.kind {
            Kind::Mapping(entries) => Ok(entries),
            _ => Err(self.wrong(node, "this must be a mapping (`key: value`)")),
        }
    }

    fn text(&self, node: &Node) -> Result<String> {
        node.text().map(str::to_owned).ok_or_else(|| {
            self.wrong(node, &format!("text is needed here, not {}", node.describe()))
        })
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.root.get(key) {
            None => Ok(default),
            Some(node) => {
                node.boolean().ok_or_else(|| self.wrong(node, "this is `true` or `false`"))
            }
        }
    }

    fn delimiter(&self) -> Result<Delimiter> {
        let Some(node) = self.root.get("delimiter") else { return Ok(Delimiter::Byte(b',')) };
        match node.text().unwrap_or("") {
            "whitespace" => Ok(Delimiter::Whitespace),
            "tab" => Ok(Delimiter::Byte(b'\t')),
            text if text.len() == 1 => Ok(Delimiter::Byte(text.as_bytes()[0])),
            _ => Err(self.wrong(node, "a delimiter is one character, `tab`, or `whitespace`")),
        }
    }

    fn columns(&self) -> Result<Vec<String>> {
        match self.root.get("columns") {
            None => Ok(Vec::new()),
            Some(node) => match &node.kind {
                Kind::Sequence(items) => items.iter().map(|item| self.text(item)).collect(),
                _ => Err(self.wrong(node, "columns are a list: `[card, day, total]`")),
            },
        }
    }

    fn zone(&self, default: Tz) -> Result<Tz> {
        let Some(node) = self.root.get("time_zone") else { return Ok(default) };
        let name = self.text(node)?;
        name.parse().map_err(|_| {
            self.wrong(node, &format!("`{name}` is no time zone: write one like Europe/London"))
        })
    }

    /// `column`, or `{ column | value, type, prefix }`.
    fn field(&self, node: &'a Node) -> Result<Field> {
        if let Some(column) = node.text() {
            let from = From::Column(column.to_owned());
            return Ok(Field { from, kind: Type::Text, prefix: String::new() });
        }
        for (key, _) in self.entries(node)? {
            if !["column", "value", "type", "prefix", "format"].contains(&key.text().unwrap_or(""))
            {
                return Err(self.wrong(
                    key,
                    &format!(
                        "unknown key {}: a field has column or value, type, prefix",
                        key.describe()
                    ),
                ));
            }
        }
        let from = match (node.get("column"), node.get("value")) {
            (Some(column), None) => From::Column(self.text(column)?),
            (None, Some(value)) => From::Value(self.text(value)?),
            _ => return Err(self.wrong(node, "a field has either a `column` or a `value`")),
        };
        let kind = match node.get("type").map(|kind| (kind, kind.text().unwrap_or(""))) {
            None | Some((_, "string")) => Type::Text,
            Some((_, "number")) => Type::Number,
            Some((_, "boolean")) => Type::Boolean,
            Some((kind, _)) => {
                return Err(self.wrong(kind, "a type is string, number or boolean"));
            }
        };
        let prefix = node.get("prefix").map(|prefix| self.text(prefix)).transpose()?;
        Ok(Field { from, kind, prefix: prefix.unwrap_or_default() })
    }

    fn optional(&self, key: &str) -> Result<Option<Field>> {
        self.root.get(key).map(|node| self.field(node)).transpose()
    }

    fn fields(&self, key: &str) -> Result<Vec<(String, Field)>> {
        let Some(node) = self.root.get(key) else { return Ok(Vec::new()) };
        let entries = self.entries(node)?.iter();
        entries.map(|(name, value)| Ok((self.text(name)?, self.field(value)?))).collect()
    }

    /// The event's name is text that stands for itself; a column must be written as one.
    fn event(&self) -> Result<Field> {
        let Some(node) = self.root.get("event") else {
            return Err(self.wrong(self.root, "add `event:` with the name of the event"));
        };
        match node.text() {
            Some(name) => Ok(Field {
                from: From::Value(name.to_owned()),
                kind: Type::Text,
                prefix: String::new(),
            }),
            None => self.field(node),
        }
    }

    fn timestamp(&self) -> Result<(Field, TimeFormat)> {
        let Some(node) = self.root.get("timestamp") else {
            return Err(self.wrong(self.root, "add `timestamp:` with the column of the time"));
        };
        let format = match node.get("format") {
            Some(format) => TimeFormat::named(&self.text(format)?),
            None => TimeFormat::Rfc3339,
        };
        Ok((self.field(node)?, format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Map> {
        Map::parse(text, "map.yaml", Tz::UTC)
    }

    #[test]
    fn the_purchase_history_of_cdnow_can_be_said() {
        let map = parse(
            "delimiter: whitespace\nheader: false\ncolumns: [customer, day, quantity, total]\n\
             event: Store Order Completed\ntimestamp: { column: day, format: \"%Y%m%d\" }\n\
             userId: { column: customer, prefix: \"cdnow-\" }\n\
             properties:\n  total: { column: total, type: number }\n",
        )
        .unwrap();
        assert_eq!(map.delimiter, Delimiter::Whitespace);
        assert_eq!(map.columns.len(), 4);
        assert_eq!(map.format, TimeFormat::Pattern("%Y%m%d".into()));
        assert_eq!(map.properties[0].1.kind, Type::Number);
    }

    #[test]
    fn mistakes_name_their_place() {
        let wrong = |text: &str| parse(text).unwrap_err().to_string();
        assert!(wrong("evnt: x\n").starts_with("map.yaml:1:1: unknown key `evnt`"));
        assert!(wrong("event: x\ntimestamp: t\n").contains("who a row is about"));
        assert!(wrong("event: x\ntimestamp: { colum: t }\nuserId: u\n").contains("map.yaml:2:"));
        assert!(wrong("event: x\ntimestamp: t\nuserId: u\nheader: false\n").contains("columns"));
        assert!(wrong("delimiter: ab\nevent: x\ntimestamp: t\nuserId: u\n").contains("delimiter"));
    }
}
