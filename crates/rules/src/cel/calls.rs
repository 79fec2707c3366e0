//! Calls: the functions over values, the history functions, `in_segment`.

use super::Events;
use super::catalog::Known;
use super::lower::{Lower, Typed, text_literal};
use super::operators::{accepts, describe};
use crate::duration;
use crate::expr::{Expr, HistoryCall, HistoryFunction, Pattern};
use crate::finding::suggest;
use crate::functions::{self, FUNCTIONS, Type};
use ::cel::common::ast::{CallExpr, Expr as CelExpr, IdedExpr};
use sojourn_model::{DurationMs, Name, Value};

/// History functions with how they are called.
const HISTORY: &[(&str, HistoryFunction, &str)] = &[
    ("count", HistoryFunction::Count, "count('Event', '24h', {'property': value})"),
    ("sum", HistoryFunction::Sum, "sum('Event', 'property', '24h', {'property': value})"),
    (
        "distinct",
        HistoryFunction::Distinct,
        "distinct('Event', 'property', '24h', {'property': value})",
    ),
    ("first", HistoryFunction::First, "first('Event', 'property', '24h')"),
    ("last", HistoryFunction::Last, "last('Event', 'property', '24h')"),
];

impl Lower<'_> {
    pub(super) fn function(&mut self, at: &IdedExpr, call: &CallExpr) -> Option<Typed> {
        let name = call.func_name.as_str();
        if call.target.is_none() {
            if let Some((_, function, usage)) = HISTORY.iter().find(|(known, ..)| *known == name) {
                return self.history(at, *function, usage, &call.args);
            }
            if name == "in_segment" {
                return self.in_segment(at, &call.args);
            }
        }
        let Some(function) = functions::find(name) else {
            let known = FUNCTIONS.iter().map(|function| function.name);
            let history = HISTORY.iter().map(|(name, ..)| *name);
            let macros = ["has", "in_segment", "all", "exists", "exists_one", "map", "filter"];
            let known: Vec<&str> = known.chain(history).chain(macros).collect();
            return self.refuse(
                "unknown-function",
                at,
                format!("there is no function `{name}`"),
                suggest(name, known, "see the functions of conditions"),
            );
        };
        let form_fits = function.both || function.receiver == call.target.is_some();
        let arguments: Vec<&IdedExpr> =
            call.target.as_deref().into_iter().chain(&call.args).collect();
        let count = arguments.len();
        let most = function.arguments.len();
        if !form_fits || count > most || count + function.optional < most {
            let usage =
                if function.receiver { format!("x.{name}(…)") } else { format!("{name}(…)") };
            return self.refuse(
                "wrong-arguments",
                at,
                format!("`{name}` is called with {count} values, or in the wrong form"),
                format!("write `{usage}` with {} values in all", most - function.optional),
            );
        }
        let mut lowered = Vec::with_capacity(count);
        for (argument, wanted) in arguments.iter().zip(function.arguments) {
            let (expr, kind) = self.lower(argument)?;
            if !accepts(wanted, kind) {
                return self.refuse(
                    "type-mismatch",
                    argument,
                    format!("`{name}` does not take {}", describe(kind)),
                    format!("give it {}", wanted.first().map_or("a value", |kind| describe(*kind))),
                );
            }
            lowered.push(expr);
        }
        self.finish_function(at, function, lowered)
    }

    /// Literals that can be checked now are; `matches` gets its pattern compiled.
    fn finish_function(
        &self,
        at: &IdedExpr,
        function: &functions::Function,
        mut arguments: Vec<Expr>,
    ) -> Option<Typed> {
        let written = |at: usize| match arguments.get(at) {
            Some(Expr::Literal(Value::Text(text))) => Some(text.clone()),
            _ => None,
        };
        match function.name {
            "matches" => {
                let Some(text) = written(1) else {
                    return self.refuse(
                        "unsupported",
                        at,
                        "the pattern of `matches` must be a text in quotes",
                        "write the pattern out, or use contains or startsWith",
                    );
                };
                match Pattern::compile(&text) {
                    Ok(pattern) => {
                        let value = Box::new(arguments.swap_remove(0));
                        Some((Expr::Matches(value, pattern), Type::Bool))
                    }
                    Err(reason) => self.refuse(
                        "bad-pattern",
                        at,
                        format!("the pattern `{text}` is not a regular expression: {reason}"),
                        "mend it; the syntax is RE2's",
                    ),
                }
            }
            "timestamp" | "duration" => match written(0) {
                None => Some((Expr::Call(function.name.into(), arguments), function.result)),
                Some(text) => {
                    let folded = functions::call(
                        function.name,
                        &[std::borrow::Cow::Owned(Value::Text(text.clone()))],
                    );
                    match folded {
                        Ok(value) => Some((Expr::Literal(value), function.result)),
                        Err(_) if function.name == "timestamp" => self.refuse(
                            "bad-time",
                            at,
                            format!("`{text}` is not an instant"),
                            "write it as timestamp('2026-12-31T09:00:00Z')",
                        ),
                        Err(_) => self.refuse(
                            "bad-duration",
                            at,
                            format!("`{text}` is not a duration"),
                            "write it as duration('24h')",
                        ),
                    }
                }
            },
            _ => Some((Expr::Call(function.name.into(), arguments), function.result)),
        }
    }

    fn in_segment(&mut self, at: &IdedExpr, arguments: &[IdedExpr]) -> Option<Typed> {
        let [argument] = arguments else {
            return self.refuse(
                "wrong-arguments",
                at,
                "`in_segment` takes the name of one segment",
                "write in_segment('regulars')",
            );
        };
        let Some(name) = text_literal(argument) else {
            return self.refuse(
                "unsupported",
                argument,
                "the name of the segment must be a text in quotes",
                "write in_segment('regulars')",
            );
        };
        match self.site.catalog.segments.get(name) {
            Some(windowed) => {
                self.windowed |= *windowed;
                Some((Expr::InSegment(name.into()), Type::Bool))
            }
            None => self.refuse(
                "unknown-segment",
                argument,
                format!("there is no segment `{name}`"),
                suggest(
                    name,
                    self.site.catalog.segments.keys().map(|name| &**name),
                    "define it in segments.yaml",
                ),
            ),
        }
    }

    fn history(
        &mut self,
        at: &IdedExpr,
        function: HistoryFunction,
        usage: &str,
        arguments: &[IdedExpr],
    ) -> Option<Typed> {
        let wrong = |this: &Self, at: &IdedExpr, message: &str| {
            this.refuse("wrong-arguments", at, message, format!("write {usage}"))
        };
        let Some((event, mut rest)) = arguments.split_first() else {
            return wrong(self, at, "the event's name is missing");
        };
        let Some(event_name) = text_literal(event) else {
            return wrong(self, event, "the event's name must be a text in quotes");
        };
        let event_name = Name::from(event_name);
        self.check_event(event, &event_name);
        let mut property = None;
        let mut kind = Type::Number;
        if function != HistoryFunction::Count {
            let Some((first, after)) = rest.split_first() else {
                return wrong(self, at, "the property's name is missing");
            };
            let Some(name) = text_literal(first) else {
                return wrong(self, first, "the property's name must be a text in quotes");
            };
            rest = after;
            let path = path(name);
            let read = self.property(first, &event_name, &path)?;
            match function {
                HistoryFunction::Sum if !accepts(&[Type::Number, Type::Duration], read) => {
                    return self.refuse(
                        "type-mismatch",
                        first,
                        format!("`sum` needs a number, but `{name}` is {}", describe(read)),
                        "name a property whose type is number, or use count",
                    );
                }
                HistoryFunction::First | HistoryFunction::Last => kind = read,
                _ => {}
            }
            property = Some(path.into());
        }
        let mut window = None;
        let mut filter = Vec::new();
        if let Some((first, after)) = rest.split_first()
            && !matches!(first.expr, CelExpr::Map(_))
        {
            let Some(duration) = self.window(first) else {
                return wrong(
                    self,
                    first,
                    "the window must be a duration greater than 0, such as '24h'",
                );
            };
            window = Some(duration);
            self.windowed = true;
            rest = after;
        }
        let takes_filter = !matches!(function, HistoryFunction::First | HistoryFunction::Last);
        if let Some((first, after)) = rest.split_first()
            && takes_filter
            && matches!(first.expr, CelExpr::Map(_))
        {
            for (key, value) in self.map_entries(first)? {
                let path = path(&key);
                self.property(first, &event_name, &path)?;
                filter.push((path.into(), self.lower(value)?.0));
            }
            rest = after;
        }
        if let Some(extra) = rest.first() {
            return wrong(self, extra, "this value is one too many, or of the wrong kind");
        }
        let call = HistoryCall { function, event: event_name, property, window, filter };
        Some((Expr::History(Box::new(call)), kind))
    }

    /// `'24h'` or `duration('24h')`.
    fn window(&mut self, at: &IdedExpr) -> Option<DurationMs> {
        let text = match &at.expr {
            CelExpr::Call(call) if call.func_name == "duration" && call.args.len() == 1 => {
                text_literal(&call.args[0])
            }
            _ => text_literal(at),
        };
        text.and_then(duration::parse).filter(|duration| duration.0 > 0)
    }

    fn check_event(&self, at: &IdedExpr, event: &Name) {
        let catalog = self.site.catalog;
        if catalog.plan_known && !catalog.event_known(event) {
            self.warn(
                "unknown-event",
                at,
                format!("the tracking plan has no event `{event}`"),
                suggest(
                    event,
                    catalog.plan.events.keys().map(|name| &**name),
                    "declare it in tracking-plan.yaml",
                ),
            );
        }
    }

    fn property(&self, at: &IdedExpr, event: &Name, path: &[Name]) -> Option<Type> {
        let named = std::slice::from_ref(event);
        match self.site.catalog.property_type(Events::Named(named), path) {
            Known::Type(kind) => Some(kind),
            Known::Unknown(known) => {
                let dotted = path.join(".");
                self.refuse(
                    "unknown-property",
                    at,
                    format!("the tracking plan has no property `{dotted}` of `{event}`, so it cannot be used in a condition"),
                    suggest(
                        &dotted,
                        known.iter().map(|name| &**name),
                        "declare it in tracking-plan.yaml with its type and purposes",
                    ),
                )
            }
        }
    }
}

fn path(dotted: &str) -> Vec<Name> {
    dotted.split('.').map(Name::from).collect()
}
