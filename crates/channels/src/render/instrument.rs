//! Prepares a template's source before it is parsed: every output is checked and escaped, every loop
//! counted, every assignment bounded.
//!
//! Liquid as such escapes nothing and never stops. Rather than trust each template to write
//! `| escape`, the last filter of every `{{ … }}` is ours; a loop's body begins with an output that
//! counts (LIM-1). Both are filters of [`super::filters`], so that the liquid library stays as it is.

use super::RenderError;
use super::filters;
use std::borrow::Cow;

/// Steps of a `(a..b)` range; beyond it liquid would build the list before the loop begins.
pub(super) const RANGE_STEPS_MAX: i64 = 1_000;
/// Bytes of one template's source.
pub(super) const SOURCE_BYTES_MAX: usize = 256 << 10;

/// A source with its checks in place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instrumented {
    /// What liquid parses.
    pub(super) source: String,
    /// Bounds of ranges that are variables: looked up before each rendering.
    pub(super) range_bounds: Vec<String>,
}

/// What the output is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// Markup: variables are escaped.
    Html,
    /// Plain text: variables stand as they are.
    Text,
    /// A header line: a line break is refused.
    Line,
}

impl Escape {
    fn filter(self) -> &'static str {
        match self {
            Self::Html => filters::OUT_HTML,
            Self::Text => filters::OUT_TEXT,
            Self::Line => filters::OUT_LINE,
        }
    }
}

/// Puts the checks into `source`.
pub(super) fn instrument(source: &str, escape: Escape) -> Result<Instrumented, RenderError> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(RenderError::limit("bytes of a template", SOURCE_BYTES_MAX));
    }
    let mut out = String::with_capacity(source.len() * 5 / 4);
    let mut range_bounds = Vec::new();
    let mut rest = source;
    while let Some(at) = next_open(rest) {
        out.push_str(&rest[..at]);
        let output = rest[at..].starts_with("{{");
        let Some(length) = closing(&rest[at + 2..], if output { "}}" } else { "%}" }) else {
            break; // liquid says what is wrong with it
        };
        let whole = &rest[at..at + 2 + length + 2];
        let inner = &*with_instants(&rest[at + 2..at + 2 + length]);
        rest = &rest[at + whole.len()..];
        if output {
            push_filtered(&mut out, "{{", inner, escape.filter(), "}}");
            continue;
        }
        let words = inner.trim_matches(|c: char| c == '-' || c.is_whitespace());
        let (name, arguments) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
        match name {
            "raw" | "comment" => {
                out.push_str(whole);
                let end = find_end(rest, name).unwrap_or(rest.len());
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            "assign" => push_filtered(&mut out, "{%", inner, filters::BOUND, "%}"),
            "for" | "tablerow" => {
                check_range(arguments, &mut range_bounds)?;
                out.push_str(whole);
                // A counter that stands after `-%}` must not stop it from trimming what follows.
                let (open, close) =
                    if inner.ends_with('-') { ("{{-", "-}}") } else { ("{{", "}}") };
                out.push_str(&format!("{open} 0 | {} {close}", filters::TICK));
            }
            "cycle" if escape == Escape::Html && reads_variable(arguments) => {
                return Err(RenderError::Template(
                    "`cycle` over variables is not escaped: write an `if` instead".into(),
                ));
            }
            _ => out.push_str(whole),
        }
    }
    out.push_str(rest);
    Ok(Instrumented { source: out, range_bounds })
}

fn next_open(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len().saturating_sub(1))
        .find(|&at| bytes[at] == b'{' && matches!(bytes[at + 1], b'{' | b'%'))
}

/// Where `close` stands outside quotes.
fn closing(text: &str, close: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if text[at..].starts_with(close) => return Some(at),
            None if c == '\'' || c == '"' => quote = Some(c),
            None => {}
        }
    }
    None
}

/// `open inner close` with `filter` as the last of its chain, the hyphens kept.
fn push_filtered(out: &mut String, open: &str, inner: &str, filter: &str, close: &str) {
    let (body, hyphen) = match inner.strip_suffix('-') {
        Some(body) => (body, "-"),
        None => (inner, ""),
    };
    out.push_str(&format!("{open}{body}| {filter} {hyphen}{close}"));
}

/// Puts [`filters::INSTANT`] before every `date`: instants come as RFC 3339 text, which liquid's own
/// filter would let through unformatted.
fn with_instants(inner: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut taken = 0;
    let mut quote = None;
    for (at, c) in inner.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == '|' => {
                let after = inner[at + 1..].trim_start();
                let named = after.strip_prefix("date").is_some_and(|rest| {
                    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-')
                });
                if named {
                    out.push_str(&inner[taken..=at]);
                    out.push_str(&format!(" {} |", filters::INSTANT));
                    taken = at + 1;
                }
            }
            None => {}
        }
    }
    if taken == 0 {
        return Cow::Borrowed(inner);
    }
    out.push_str(&inner[taken..]);
    Cow::Owned(out)
}

/// Where `{% endNAME` begins.
fn find_end(text: &str, name: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find("{%") {
        let tag = text[from + at + 2..].trim_start_matches('-').trim_start();
        if tag.strip_prefix("end").is_some_and(|tag| tag.starts_with(name)) {
            return Some(from + at);
        }
        from += at + 2;
    }
    None
}

/// Refuses a literal range that is too long and notes bounds that are variables.
fn check_range(arguments: &str, bounds: &mut Vec<String>) -> Result<(), RenderError> {
    let Some((before, after)) = arguments.split_once("..") else { return Ok(()) };
    let low = before.rsplit('(').next().unwrap_or("").trim();
    let high = after.split(')').next().unwrap_or("").trim();
    let low_number = low.parse::<i64>();
    let high_number = high.parse::<i64>();
    if let (Ok(low), Ok(high)) = (&low_number, &high_number)
        && high.saturating_sub(*low) > RANGE_STEPS_MAX
    {
        return Err(RenderError::limit("steps of a range", RANGE_STEPS_MAX as usize));
    }
    for (text, number) in [(low, low_number), (high, high_number)] {
        match number {
            Err(_) => bounds.push(text.to_owned()),
            Ok(n) if n.unsigned_abs() > RANGE_STEPS_MAX.unsigned_abs() * 1_000 => {
                return Err(RenderError::limit("bound of a range", RANGE_STEPS_MAX as usize));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Whether there is a word outside quotes.
fn reads_variable(arguments: &str) -> bool {
    let mut quote = None;
    arguments.chars().any(|c| match quote {
        Some(open) => {
            if c == open {
                quote = None;
            }
            false
        }
        None if c == '\'' || c == '"' => {
            quote = Some(c);
            false
        }
        None => c.is_alphabetic(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, wanted: &str) {
        let got = instrument(source, Escape::Html).expect(source).source;
        assert_eq!(got, wanted, "{source}");
    }

    #[test]
    fn every_output_ends_with_our_filter() {
        check("a {{ x }} b", "a {{ x | sojourn_out_html }} b");
        check("{{- x | upcase -}}", "{{- x | upcase | sojourn_out_html -}}");
        check("{{ '}}' }}", "{{ '}}' | sojourn_out_html }}");
        check("{% assign a = b %}", "{% assign a = b | sojourn_bound %}");
        check("{% if a %}{{b}}{% endif %}", "{% if a %}{{b| sojourn_out_html }}{% endif %}");
    }

    #[test]
    fn dates_read_instants() {
        check(
            "{{ x | date: '%d | date' | upcase }}",
            "{{ x | sojourn_instant | date: '%d | date' | upcase | sojourn_out_html }}",
        );
        check("{{ x | dateish }}", "{{ x | dateish | sojourn_out_html }}");
    }

    #[test]
    fn raw_and_comments_stay_as_they_are() {
        check("{% raw %}{{ x }}{% endraw %}", "{% raw %}{{ x }}{% endraw %}");
        check(
            "{%- comment -%}{{ x }}{%- endcomment -%}{{y}}",
            "{%- comment -%}{{ x }}{%- endcomment -%}{{y| sojourn_out_html }}",
        );
    }

    #[test]
    fn loops_count_and_ranges_are_bounded() {
        check(
            "{% for i in items %}x{% endfor %}",
            "{% for i in items %}{{ 0 | sojourn_tick }}x{% endfor %}",
        );
        check(
            "{% for i in items -%} x{% endfor %}",
            "{% for i in items -%}{{- 0 | sojourn_tick -}} x{% endfor %}",
        );
        assert!(instrument("{% for i in (1..2000) %}{% endfor %}", Escape::Text).is_err());
        let bound = instrument("{% for i in (1..event.n) %}{% endfor %}", Escape::Text).unwrap();
        assert_eq!(bound.range_bounds, ["event.n"]);
    }

    #[test]
    fn cycles_over_variables_are_refused_in_markup() {
        assert!(instrument("{% cycle 'a', 'b' %}", Escape::Html).is_ok());
        assert!(instrument("{% cycle x, 'b' %}", Escape::Html).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_or_refused(source in "[ -~\n{}%']{0,200}") {
            let _ = instrument(&source, Escape::Html);
        }
    }
}
