//! Filters that the renderer puts into every template: output checks, loop counter, size bound.

use super::OUTPUT_BYTES_MAX;
use liquid_core::model::DateTime;
use liquid_core::parser::FilterArguments;
use liquid_core::{
    Error, Filter, FilterReflection, ParseFilter, Result, Runtime, Value, ValueView,
};
use std::fmt;

/// Escapes for markup; refuses what is missing.
pub(super) const OUT_HTML: &str = "sojourn_out_html";
/// Refuses what is missing.
pub(super) const OUT_TEXT: &str = "sojourn_out_text";
/// Refuses what is missing, and a line break.
pub(super) const OUT_LINE: &str = "sojourn_out_line";
/// Refuses a text over the output's limit.
pub(super) const BOUND: &str = "sojourn_bound";
/// Makes an instant of RFC 3339 text; everything else stays.
pub(super) const INSTANT: &str = "sojourn_instant";
/// Counts a step of a loop; gives nothing.
pub(super) const TICK: &str = "sojourn_tick";

/// Steps of all loops of one rendering (LIM-1). A count, not a clock: the same template with the
/// same variables is refused everywhere or nowhere.
pub(super) const LOOP_STEPS_MAX: u32 = 100_000;

/// What one of our filters does.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Html,
    Text,
    Line,
    Bound,
    Tick,
    Instant,
}

/// One of our filters, as the parser knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ours(Kind, &'static str);

/// All of them.
pub(super) const ALL: [Ours; 6] = [
    Ours(Kind::Html, OUT_HTML),
    Ours(Kind::Text, OUT_TEXT),
    Ours(Kind::Line, OUT_LINE),
    Ours(Kind::Bound, BOUND),
    Ours(Kind::Tick, TICK),
    Ours(Kind::Instant, INSTANT),
];

impl FilterReflection for Ours {
    fn name(&self) -> &str {
        self.1
    }
    fn description(&self) -> &str {
        "put in by the renderer"
    }
    fn positional_parameters(&self) -> &'static [liquid_core::parser::ParameterReflection] {
        &[]
    }
    fn keyword_parameters(&self) -> &'static [liquid_core::parser::ParameterReflection] {
        &[]
    }
}

impl ParseFilter for Ours {
    fn parse(&self, _arguments: FilterArguments<'_>) -> Result<Box<dyn Filter>> {
        Ok(Box::new(*self))
    }
    fn reflection(&self) -> &dyn FilterReflection {
        self
    }
}

impl fmt::Display for Ours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }
}

#[derive(Default)]
struct LoopSteps(u32);

impl Filter for Ours {
    fn evaluate(&self, input: &dyn ValueView, runtime: &dyn Runtime) -> Result<Value> {
        match self.0 {
            Kind::Tick => {
                let mut steps = runtime.registers().get_mut::<LoopSteps>();
                steps.0 += 1;
                if steps.0 > LOOP_STEPS_MAX {
                    return Err(Error::with_msg(format!(
                        "loops take more than {LOOP_STEPS_MAX} steps"
                    )));
                }
                return Ok(Value::scalar(""));
            }
            Kind::Bound => {
                if input.is_scalar() {
                    bounded(&input.to_kstr())?;
                }
                return Ok(input.to_value());
            }
            Kind::Instant => {
                let liquid = input.as_scalar().and_then(|text| instant(&text.into_string()));
                return Ok(liquid.map_or_else(|| input.to_value(), Value::scalar));
            }
            Kind::Html | Kind::Text | Kind::Line => {}
        }
        if input.is_nil() {
            return Err(Error::with_msg("a variable is missing and has no default"));
        }
        let text = input.render().to_string();
        bounded(&text)?;
        match self.0 {
            Kind::Html => Ok(Value::scalar(escape_once(&text))),
            Kind::Line if text.contains(['\r', '\n']) => {
                Err(Error::with_msg("a line break in a variable of a header line"))
            }
            _ => Ok(Value::scalar(text)),
        }
    }
}

/// RFC 3339 text, or a date, as liquid's instant.
fn instant(text: &str) -> Option<DateTime> {
    let written = match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(at) => at.format("%Y-%m-%d %H:%M:%S %z").to_string(),
        Err(_) => format!("{} 00:00:00 +0000", text.parse::<chrono::NaiveDate>().ok()?),
    };
    DateTime::from_str(&written)
}

fn bounded(text: &str) -> Result<()> {
    if text.len() > OUTPUT_BYTES_MAX {
        return Err(Error::with_msg(format!("a text is over {OUTPUT_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// Escapes `& < > " '`; an ampersand that already begins an entity stays, so that a template which
/// escapes by itself is not escaped twice. No markup can come through either way.
pub(super) fn escape_once(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '&' if begins_entity(&text[at + 1..]) => out.push('&'),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}

fn begins_entity(after: &str) -> bool {
    ["lt;", "gt;", "amp;", "quot;", "#39;"].iter().any(|entity| after.starts_with(entity))
}
