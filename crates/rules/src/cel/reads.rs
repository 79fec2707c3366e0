//! Reads of `event`, `profile` and `run`: what there is, and of which type.

use super::Events;
use super::catalog::Known;
use super::lower::{Lower, Typed, path_of};
use crate::expr::{Expr, Root};
use crate::finding::suggest;
use crate::functions::Type;
use ::cel::common::ast::{IdedExpr, SelectExpr};
use sojourn_model::Name;

impl Lower<'_> {
    pub(super) fn has(&mut self, at: &IdedExpr, select: &SelectExpr) -> Option<Typed> {
        let Some(mut path) = path_of(&select.operand) else {
            return self.unsupported(
                at,
                "`has()` of a computed value",
                "name a field, such as has(event.properties.value)",
            );
        };
        path.push(&select.field);
        match self.read(at, &path)?.0 {
            Expr::Read(root, path) => Some((Expr::Has(root, path), Type::Bool)),
            _ => self.unsupported(at, "`has()` of this", "name a field"),
        }
    }

    /// `root.a.b`
    pub(super) fn read(&self, at: &IdedExpr, path: &[&str]) -> Option<Typed> {
        let (root, rest) = path.split_first()?;
        if self.locals.iter().any(|local| &**local == *root) {
            let path: Vec<Name> = path.iter().map(|segment| Name::from(*segment)).collect();
            return Some((Expr::Read(Root::Local, path.into()), Type::Any));
        }
        let names: Vec<Name> = rest.iter().map(|segment| Name::from(*segment)).collect();
        let (root, names, kind) = match *root {
            "event" => self.read_event(at, &names)?,
            "profile" if names.is_empty() => {
                return self.refuse(
                    "unknown-variable",
                    at,
                    "`profile` is not a value itself",
                    "name an attribute: profile.birthday",
                );
            }
            "profile" => match self.site.catalog.attribute_type(&names) {
                Known::Type(kind) => (Root::Profile, names, kind),
                Known::Unknown(known) => return self.unknown(at, "attribute", &names, &known),
            },
            "run" => self.read_run(at, names)?,
            other => {
                let mut known = vec!["event", "profile", "run"];
                known.extend(self.locals.iter().map(|local| &**local));
                let remedy = if self.site.catalog.attribute(&[Name::from(other)]).is_some() {
                    format!("did you mean `profile.{other}`?")
                } else {
                    suggest(other, known, "text needs quotes: 'gold'")
                };
                return self.refuse(
                    "unknown-variable",
                    at,
                    format!("there is no `{other}`"),
                    remedy,
                );
            }
        };
        Some((Expr::Read(root, names.into()), kind))
    }

    fn unknown<T>(&self, at: &IdedExpr, what: &str, path: &[Name], known: &[Name]) -> Option<T> {
        let dotted = path.join(".");
        self.refuse(
            "unknown-property",
            at,
            format!(
                "the tracking plan has no {what} `{dotted}`, so it cannot be used in a condition"
            ),
            suggest(
                &dotted,
                known.iter().map(|name| &**name),
                "declare it in tracking-plan.yaml with its type and purposes",
            ),
        )
    }

    fn read_event(&self, at: &IdedExpr, names: &[Name]) -> Option<(Root, Vec<Name>, Type)> {
        const MEMBERS: &[&str] =
            &["properties", "context", "traits", "name", "timestamp", "channel", "source"];
        if matches!(self.site.events, Events::None) {
            return self.refuse(
                "unknown-variable",
                at,
                "there is no event here",
                "use the profile or a history function, such as last('Order Completed', 'total')",
            );
        }
        let Some((first, rest)) = names.split_first() else {
            return self.refuse(
                "unknown-variable",
                at,
                "`event` is not a value itself",
                "name a property: event.properties.value",
            );
        };
        let (root, kind) = match &**first {
            "properties" => match self.site.catalog.property_type(self.site.events, rest) {
                Known::Type(kind) => (Root::EventProperties, kind),
                Known::Unknown(known) => {
                    return self.unknown(
                        at,
                        &format!("property of {}", self.events()),
                        rest,
                        &known,
                    );
                }
            },
            "context" => (Root::EventContext, Type::Any),
            "traits" => (Root::EventTraits, Type::Any),
            "name" | "channel" | "source" if rest.is_empty() => {
                return Some((Root::Event, names.to_vec(), Type::Text));
            }
            "timestamp" if rest.is_empty() => {
                return Some((Root::Event, names.to_vec(), Type::Instant));
            }
            other => {
                let remedy = if matches!(
                    self.site.catalog.property_type(self.site.events, names),
                    Known::Type(_)
                ) && !MEMBERS.contains(&other)
                {
                    format!("did you mean `event.properties.{other}`?")
                } else {
                    suggest(other, MEMBERS.iter().copied(), "see the table of `event`")
                };
                return self.refuse(
                    "unknown-variable",
                    at,
                    format!("an event has no `{}`", names.join(".")),
                    remedy,
                );
            }
        };
        Some((root, rest.to_vec(), kind))
    }

    fn events(&self) -> String {
        match self.site.events {
            Events::Named(names) => {
                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
            }
            _ => "any event".to_owned(),
        }
    }

    fn read_run(&self, at: &IdedExpr, names: Vec<Name>) -> Option<(Root, Vec<Name>, Type)> {
        if !self.site.run {
            return self.refuse(
                "unknown-variable",
                at,
                "there is no run here",
                "`run` exists in steps, `exit_on` and `goal`",
            );
        }
        let kind = match names.first().map(|name| &**name) {
            Some("key") if names.len() == 1 => Type::Any,
            Some("entered_at") if names.len() == 1 => Type::Instant,
            Some("items") => {
                if names.len() == 1 {
                    Type::List
                } else {
                    Type::Any
                }
            }
            Some("events" | "call") if names.len() > 1 => Type::Any,
            _ => {
                return self.refuse(
                    "unknown-variable",
                    at,
                    format!("a run has no `{}`", names.join(".")),
                    "use run.key, run.entered_at, run.events.<step id>, run.call.<as> or run.items",
                );
            }
        };
        Some((Root::Run, names, kind))
    }
}
