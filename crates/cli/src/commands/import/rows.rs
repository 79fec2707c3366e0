//! Rows of a CSV file as messages of the Segment specification.

use super::map::{Delimiter, Field, From, Map, Type};
use crate::exit::usage;
use crate::when;
use anyhow::Result;
use serde_json::{Map as Object, Value, json};
use sojourn_model::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read};

/// Longest line of a whitespace-separated file.
const LINE_BYTES_MAX: usize = 1 << 20;

/// A row that could be read.
#[derive(Debug)]
pub(super) struct Row {
    /// When it happened.
    pub(super) at: Timestamp,
    /// The message, without `source` and `receivedAt`.
    pub(super) message: Value,
}

/// A row that could not.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) line: u64,
    pub(super) text: String,
}

/// The rows of a file, in its order.
pub(super) struct Rows<'a, R: Read> {
    cells: Cells<R>,
    map: &'a Map,
    source: &'a str,
    places: BTreeMap<String, usize>,
    /// How often a row of the same content has come: equal rows are different purchases, while a
    /// second import of the same file gives the same ids.
    seen: HashMap<u64, u32>,
}

impl<'a, R: Read> Rows<'a, R> {
    /// Reads the header; every column that the map names must be there.
    pub(super) fn new(reader: R, map: &'a Map, source: &'a str) -> Result<Self> {
        let mut cells = Cells::new(reader, map);
        let names = if map.header {
            match cells.next() {
                Some(Ok((_, header))) => header,
                Some(Err(bad)) => return Err(usage(bad.text)),
                None => Vec::new(),
            }
        } else {
            map.columns.clone()
        };
        let names = if map.columns.is_empty() { names } else { map.columns.clone() };
        let places: BTreeMap<_, _> =
            names.iter().enumerate().map(|(place, name)| (name.trim().to_owned(), place)).collect();
        for field in map.fields() {
            if let From::Column(column) = &field.from
                && !places.contains_key(column)
            {
                return Err(usage(format!(
                    "the file has no column `{column}`: it has {}",
                    names.join(", ")
                )));
            }
        }
        Ok(Self { cells, map, source, places, seen: HashMap::new() })
    }

    fn text<'r>(&self, field: &'r Field, row: &'r [String]) -> &'r str {
        match &field.from {
            From::Value(value) => value,
            From::Column(column) => {
                let place = self.places[column];
                row.get(place).map_or("", |cell| cell.trim())
            }
        }
    }

    /// A value in its type; empty is absent.
    fn value(&self, name: &str, field: &Field, row: &[String]) -> Result<Option<Value>, String> {
        let text = self.text(field, row);
        if text.is_empty() {
            return Ok(None);
        }
        let value = match field.kind {
            Type::Text => Value::from(format!("{}{text}", field.prefix)),
            Type::Number => {
                let number: f64 =
                    text.parse().map_err(|_| format!("{name}: `{text}` is no number"))?;
                if number.fract() == 0.0 && number.abs() < 9e15 {
                    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
                    Value::from(number as i64)
                } else {
                    serde_json::Number::from_f64(number)
                        .map(Value::Number)
                        .ok_or_else(|| format!("{name}: `{text}` is no number"))?
                }
            }
            Type::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "y" | "1" => Value::Bool(true),
                "false" | "no" | "n" | "0" => Value::Bool(false),
                _ => return Err(format!("{name}: `{text}` is neither yes nor no")),
            },
        };
        Ok(Some(value))
    }

    fn object(&self, fields: &[(String, Field)], row: &[String]) -> Result<Value, String> {
        let mut object = Object::new();
        for (name, field) in fields {
            if let Some(value) = self.value(name, field, row)? {
                object.insert(name.clone(), value);
            }
        }
        Ok(Value::Object(object))
    }

    fn message(&mut self, row: &[String]) -> Result<Row, String> {
        let time = self.text(&self.map.timestamp, row);
        let at = self
            .map
            .format
            .read(time, self.map.zone)
            .ok_or_else(|| format!("timestamp: `{time}` is not written as map.yaml says"))?;
        let event = self.value("event", &self.map.event, row)?.ok_or("event: it is empty")?;
        let mut message = json!({
            "type": "track",
            "event": event,
            "timestamp": when::rfc3339(at),
            "properties": self.object(&self.map.properties, row)?,
        });
        if !self.map.traits.is_empty() {
            message["context"] = json!({ "traits": self.object(&self.map.traits, row)? });
        }
        let mut known = !self.map.traits.is_empty();
        for (key, field) in [("userId", &self.map.user_id), ("anonymousId", &self.map.anonymous_id)]
        {
            if let Some(field) = field
                && let Some(Value::String(id)) = self.value(key, field, row)?
            {
                message[key] = id.into();
                known = true;
            }
        }
        if !known {
            return Err("nothing says who this row is about".to_owned());
        }
        let id = match &self.map.message_id {
            Some(field) => self.value("messageId", field, row)?.ok_or("messageId: it is empty")?,
            None => self.own_id(row).into(),
        };
        message["messageId"] = id;
        Ok(Row { at, message })
    }

    fn own_id(&mut self, row: &[String]) -> String {
        // FNV-1a, because ids must stay the same over versions of every library.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for cell in row {
            for byte in cell.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        let times = self.seen.entry(hash).or_insert(0);
        *times += 1;
        format!("import-{}-{hash:016x}-{times}", self.source)
    }
}

impl<R: Read> Iterator for Rows<'_, R> {
    type Item = Result<Row, Bad>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, row) = match self.cells.next()? {
            Ok(cells) => cells,
            Err(bad) => return Some(Err(bad)),
        };
        Some(self.message(&row).map_err(|text| Bad { line, text }))
    }
}

impl Map {
    fn fields(&self) -> impl Iterator<Item = &Field> {
        [Some(&self.event), Some(&self.timestamp)]
            .into_iter()
            .chain([self.user_id.as_ref(), self.anonymous_id.as_ref(), self.message_id.as_ref()])
            .flatten()
            .chain(self.properties.iter().chain(&self.traits).map(|(_, field)| field))
    }
}

/// Lines cut into cells.
enum Cells<R: Read> {
    Csv(Box<csv::StringRecordsIntoIter<R>>),
    Blanks { reader: BufReader<R>, line: u64, done: bool },
}

impl<R: Read> Cells<R> {
    fn new(reader: R, map: &Map) -> Self {
        match map.delimiter {
            Delimiter::Byte(delimiter) => Self::Csv(Box::new(
                csv::ReaderBuilder::new()
                    .delimiter(delimiter)
                    .has_headers(false)
                    .flexible(true)
                    .from_reader(reader)
                    .into_records(),
            )),
            Delimiter::Whitespace => {
                Self::Blanks { reader: BufReader::new(reader), line: 0, done: false }
            }
        }
    }
}

impl<R: Read> Iterator for Cells<R> {
    type Item = Result<(u64, Vec<String>), Bad>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Csv(records) => {
                let record = records.next()?;
                Some(match record {
                    Ok(record) => {
                        let line = record.position().map_or(0, csv::Position::line);
                        Ok((line, record.iter().map(str::to_owned).collect()))
                    }
                    Err(error) => {
                        let line = error.position().map_or(0, csv::Position::line);
                        Err(Bad { line, text: error.to_string() })
                    }
                })
            }
            Self::Blanks { reader, line, done } => loop {
                if *done {
                    return None;
                }
                let mut bytes = Vec::new();
                let limit = LINE_BYTES_MAX as u64 + 1;
                let read = reader.by_ref().take(limit).read_until(b'\n', &mut bytes);
                *line += 1;
                match read {
                    Ok(0) => return None,
                    Ok(_) if bytes.len() > LINE_BYTES_MAX => {
                        *done = true;
                        let text = format!("the line is longer than {LINE_BYTES_MAX} bytes");
                        return Some(Err(Bad { line: *line, text }));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        *done = true;
                        return Some(Err(Bad { line: *line, text: error.to_string() }));
                    }
                }
                let Ok(text) = std::str::from_utf8(&bytes) else {
                    return Some(Err(Bad {
                        line: *line,
                        text: "the line is not UTF-8".to_owned(),
                    }));
                };
                let cells: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
                if !cells.is_empty() {
                    return Some(Ok((*line, cells)));
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Tz;

    fn rows(map: &str, csv: &str) -> Vec<Result<Value, String>> {
        let map = Map::parse(map, "map.yaml", Tz::UTC).unwrap();
        let rows = Rows::new(csv.as_bytes(), &map, "till").unwrap();
        rows.map(|row| {
            row.map(|row| row.message).map_err(|bad| format!("{}: {}", bad.line, bad.text))
        })
        .collect()
    }

    const CDNOW: &str = "delimiter: whitespace\nheader: false\n\
        columns: [customer, day, quantity, total]\nevent: Store Order Completed\n\
        timestamp: { column: day, format: \"%Y%m%d\" }\nuserId: { column: customer, prefix: \"c\" }\n\
        properties:\n  total: { column: total, type: number }\n  quantity: { column: quantity, type: number }\n";

    #[test]
    fn blanks_separate_columns() {
        let rows = rows(CDNOW, " 00001 19970101  1   11.77\n\n 00002 19970112  5   77.00\n");
        assert_eq!(rows.len(), 2);
        let second = rows[1].as_ref().unwrap();
        assert_eq!(second["userId"], "c00002");
        assert_eq!(second["timestamp"], "1997-01-12T00:00:00.000Z");
        assert_eq!(second["properties"], json!({"total": 77, "quantity": 5}));
    }

    #[test]
    fn equal_rows_are_two_purchases_and_keep_their_ids() {
        let text = "1 19970101 1 5\n1 19970101 1 5\n";
        let id = |rows: &[Result<Value, String>], place: usize| {
            rows[place].as_ref().unwrap()["messageId"].clone()
        };
        let (first, again) = (rows(CDNOW, text), rows(CDNOW, text));
        assert_ne!(id(&first, 0), id(&first, 1));
        assert_eq!(id(&first, 0), id(&again, 0));
        assert_eq!(id(&first, 1), id(&again, 1));
    }

    #[test]
    fn a_header_names_the_columns_and_quotes_hold() {
        let map = "event: Order\ntimestamp: at\nuserId: who\nproperties: { note: note }\n";
        let rows = rows(map, "who,at,note\n7,2026-01-02,\"a, b\"\n8,yesterday,\n");
        assert_eq!(rows[0].as_ref().unwrap()["properties"]["note"], "a, b");
        assert!(rows[1].as_ref().unwrap_err().starts_with("3: timestamp: `yesterday`"));
    }

    #[test]
    fn a_row_of_nobody_is_bad() {
        let map = "event: Order\ntimestamp: at\nuserId: who\n";
        assert!(rows(map, "who,at\n,2026-01-02\n")[0].as_ref().unwrap_err().contains("who"));
    }

    #[test]
    fn missing_columns_are_named() {
        let map = Map::parse("event: O\ntimestamp: at\nuserId: nobody\n", "m", Tz::UTC).unwrap();
        let error = Rows::new("who,at\n".as_bytes(), &map, "till").err().unwrap().to_string();
        assert!(error.contains("`nobody`") && error.contains("who, at"), "{error}");
    }
}
