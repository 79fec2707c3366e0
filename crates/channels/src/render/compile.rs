//! A locale of a template, parsed once.

use super::filters;
use super::instrument::{Escape, RANGE_STEPS_MAX, instrument};
use super::{LINE_BYTES_MAX, OUTPUT_BYTES_MAX, RenderError};
use liquid::model::{Object, ValueView};
use sojourn_proto::channel::Message;
use sojourn_rules::{BodyKind, Localized};
use std::io::{self, Write};

/// One Liquid text with the variables that bound its ranges.
pub(super) struct Part {
    template: liquid::Template,
    range_bounds: Vec<String>,
}

/// A locale of a template, ready to render.
pub(super) struct CompiledTemplate {
    pub(super) subject: Part,
    pub(super) preheader: Part,
    body: Part,
    text: Option<Part>,
}

/// Liquid's standard library and our filters.
pub(super) fn parser() -> liquid::Parser {
    let mut builder = liquid::ParserBuilder::with_stdlib();
    for filter in filters::ALL {
        builder = builder.filter(filter);
    }
    builder.build().expect("the standard library has no partials that could fail")
}

impl CompiledTemplate {
    pub(super) fn new(parser: &liquid::Parser, localized: &Localized) -> Result<Self, RenderError> {
        let part = |name: &str, source: &str, escape| -> Result<Part, RenderError> {
            let instrumented = instrument(source, escape)?;
            let template = parser.parse(&instrumented.source).map_err(|error| {
                RenderError::Template(format!("{name}: {}", first_line(&error)))
            })?;
            Ok(Part { template, range_bounds: instrumented.range_bounds })
        };
        let body_escape =
            if localized.body_kind == BodyKind::Text { Escape::Text } else { Escape::Html };
        Ok(Self {
            subject: part("subject", &localized.subject, Escape::Line)?,
            preheader: part("preheader", &localized.preheader, Escape::Line)?,
            body: part("body", &localized.body, body_escape)?,
            text: localized
                .text
                .as_deref()
                .map(|text| part("text", text, Escape::Text))
                .transpose()?,
        })
    }

    /// A header line.
    pub(super) fn line(
        &self,
        name: &str,
        part: &Part,
        globals: &Object,
    ) -> Result<String, RenderError> {
        let line = part.render(name, globals, LINE_BYTES_MAX)?;
        let line = line.trim();
        if line.contains(['\r', '\n']) {
            return Err(RenderError::Template(format!("{name}: a line break in a header line")));
        }
        Ok(line.to_owned())
    }

    /// Body and text.
    pub(super) fn bodies(
        &self,
        localized: &Localized,
        globals: &Object,
        message: &mut Message,
    ) -> Result<(), RenderError> {
        let body = self.body.render("body", globals, OUTPUT_BYTES_MAX)?;
        match localized.body_kind {
            BodyKind::Text => message.text = body,
            BodyKind::Html => message.html = body,
            BodyKind::Mjml => message.html = mjml(&body)?,
        }
        if let Some(text) = &self.text {
            message.text = text.render("text", globals, OUTPUT_BYTES_MAX)?;
        }
        Ok(())
    }
}

impl Part {
    fn render(&self, name: &str, globals: &Object, limit: usize) -> Result<String, RenderError> {
        for bound in &self.range_bounds {
            check_bound(globals, bound)?;
        }
        let mut out = Bounded { bytes: Vec::new(), limit, over: false };
        let result = self.template.render_to(&mut out, globals);
        if out.over {
            return Err(RenderError::limit("bytes of a rendered part", limit));
        }
        result.map_err(|error| RenderError::Template(format!("{name}: {}", first_line(&error))))?;
        String::from_utf8(out.bytes)
            .map_err(|_| RenderError::Template(format!("{name}: not UTF-8")))
    }
}

/// A range's bound that is a variable must be a small number.
fn check_bound(globals: &Object, path: &str) -> Result<(), RenderError> {
    let mut parts = path.split('.').map(str::trim);
    let root = parts.next().and_then(|root| globals.get(root));
    let found = parts.fold(root, |value, key| match value {
        Some(liquid::model::Value::Object(object)) => object.get(key),
        _ => None,
    });
    let number = found.and_then(|value| value.as_scalar()).and_then(|s| s.to_integer());
    match number {
        Some(number) if (-RANGE_STEPS_MAX..=RANGE_STEPS_MAX).contains(&number) => Ok(()),
        Some(_) => Err(RenderError::limit("bound of a range", RANGE_STEPS_MAX as usize)),
        None => Err(RenderError::Template(format!("the bound {path} of a range is not a number"))),
    }
}

/// MJML to HTML.
fn mjml(source: &str) -> Result<String, RenderError> {
    let parsed =
        mrml::parse(source).map_err(|error| RenderError::Template(format!("mjml: {error}")))?;
    let html = parsed
        .element
        .render(&mrml::prelude::render::RenderOptions::default())
        .map_err(|error| RenderError::Template(format!("mjml: {error}")))?;
    if html.len() > OUTPUT_BYTES_MAX {
        return Err(RenderError::limit("bytes of a rendered body", OUTPUT_BYTES_MAX));
    }
    Ok(html)
}

/// What liquid says without the context, which holds values of variables.
fn first_line(error: &liquid::Error) -> String {
    let text = error.to_string();
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("failed");
    line.trim_start_matches("liquid:").trim().to_owned()
}

/// A buffer with a limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    over: bool,
}

impl Write for Bounded {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + buf.len() > self.limit {
            self.over = true;
            return Err(io::Error::other("over the output's limit"));
        }
        self.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
