//! Purpose limitation (semantics 3): data is read only for the purposes it was collected for.

use crate::cel::Events;
use crate::definitions::FieldPlan;
use crate::expr::{Expr, Root};
use crate::finding::Source;
use crate::limits::SEGMENT_DEPTH_MAX;
use crate::load::Reading;
use crate::yaml::Place;
use sojourn_model::Name;

/// Reports what `expr` reads that was not collected for `purpose`, or is sensitive.
pub(crate) fn purpose_limitation(
    reading: &Reading<'_>,
    place: Place,
    expr: &Expr,
    events: Events<'_>,
    purpose: &Name,
) {
    let check = Check { reading, place, purpose };
    check.expr(expr, events, None, 0);
}

/// Reports a path that a template reads, the same way.
pub(super) fn template_path(reading: &Reading<'_>, place: Place, path: &[Name], purpose: &Name) {
    let check = Check { reading, place, purpose };
    match path.split_first() {
        Some((root, rest)) if &**root == "profile" => check.attribute(rest, Some("its template")),
        Some((root, rest)) if &**root == "event" => {
            if let Some((first, rest)) = rest.split_first()
                && &**first == "properties"
            {
                check.properties(rest, reading.entered(), Some("its template"));
            }
        }
        _ => {}
    }
}

struct Check<'a> {
    reading: &'a Reading<'a>,
    place: Place,
    purpose: &'a Name,
}

impl Check<'_> {
    fn expr(&self, expr: &Expr, events: Events<'_>, through: Option<&str>, depth: usize) {
        expr.walk(&mut |expr| match expr {
            Expr::Read(Root::Profile, path) | Expr::Has(Root::Profile, path) => {
                self.attribute(path, through);
            }
            Expr::Read(Root::EventProperties, path) | Expr::Has(Root::EventProperties, path) => {
                self.properties(path, events, through);
            }
            Expr::History(call) => {
                let event = std::slice::from_ref(&call.event);
                for path in call.property.iter().chain(call.filter.iter().map(|(path, _)| path)) {
                    self.properties(path, Events::Named(event), through);
                }
            }
            Expr::InSegment(name) if depth < SEGMENT_DEPTH_MAX => {
                let Some(segment) = self.reading.context.segments.get(name) else { return };
                if let Some(purpose) = &segment.purpose
                    && !serves(std::slice::from_ref(purpose), self.purpose)
                {
                    self.reading.source.error(
                        "purpose-limitation",
                        self.place,
                        format!(
                            "segment `{name}` is for `{purpose}` (segments.yaml), and this journey is for `{}`",
                            self.purpose
                        ),
                        "use another segment",
                    );
                }
                let through = format!("segment `{name}`");
                self.expr(&segment.when.expr, Events::None, Some(&through), depth + 1);
            }
            _ => {}
        });
    }

    fn attribute(&self, path: &[Name], through: Option<&str>) {
        let catalog = self.reading.context.catalog;
        if let Some((name, field)) = catalog.attribute(path) {
            let line = catalog.places.attributes.get(name).copied();
            self.field(&format!("attribute `{name}`"), field, line, through);
        }
    }

    fn properties(&self, path: &[Name], events: Events<'_>, through: Option<&str>) {
        let catalog = self.reading.context.catalog;
        if path.is_empty() {
            return;
        }
        let Events::Named(names) = events else { return };
        for event in names {
            if let Some((name, field)) = catalog.property(event, path) {
                let line = catalog.places.properties.get(&(event.clone(), name.clone())).copied();
                self.field(&format!("property `{name}` of `{event}`"), field, line, through);
            }
        }
    }

    fn field(&self, what: &str, field: &FieldPlan, line: Option<u32>, through: Option<&str>) {
        let plan = format!("tracking-plan.yaml:{}", line.unwrap_or(1));
        let through = through.map_or_else(String::new, |through| format!(" through {through}"));
        if !serves(&field.purposes, self.purpose) {
            self.reading.source.error(
                "purpose-limitation",
                self.place,
                format!(
                    "a journey for `{}` reads {what}{through}, which was collected for {} ({plan})",
                    self.purpose,
                    field.purposes.join(", ")
                ),
                "read something else; adding a purpose there needs a reason that the law accepts",
            );
        }
        let service =
            self.reading.context.policy.purpose(self.purpose).is_some_and(|(_, p)| p.service);
        if field.sensitive && !service {
            self.reading.source.warning(
                "sensitive",
                self.place,
                format!(
                    "a journey for `{}` reads {what}{through}, which is sensitive ({plan})",
                    self.purpose
                ),
                "make sure that the customer agreed to exactly this, or leave it out",
            );
        }
    }
}

/// Parts of names of fields that speak of what the law calls special categories of data.
const SENSITIVE_WORDS: &[&str] = &[
    "health",
    "medical",
    "diagnosis",
    "disease",
    "disability",
    "pregnant",
    "pregnancy",
    "allergy",
    "allergies",
    "religion",
    "religious",
    "ethnicity",
    "ethnic",
    "race",
    "sexual",
    "orientation",
    "political",
    "party_member",
    "union_member",
    "biometric",
    "genetic",
    "skin_type",
];

/// Says so when a field's name speaks of something sensitive and the plan does not.
pub(crate) fn looks_sensitive(source: Source<'_>, place: Place, name: &str) {
    let lower = name.to_lowercase();
    let word = SENSITIVE_WORDS.iter().find(|word| {
        lower == **word
            || lower.split(['_', '-', ' ', '.']).any(|part| part == **word)
            || (word.contains('_') && lower.contains(**word))
    });
    if let Some(word) = word {
        source.warning(
            "looks-sensitive",
            place,
            format!("`{name}` sounds like sensitive data ({word}), and the plan does not say whether it is"),
            "write `sensitive: true`, or `sensitive: false` if it is not",
        );
    }
}

/// Whether data collected for `purposes` (empty: any) may serve `purpose`; a topic's purpose serves
/// it too.
pub(crate) fn serves(purposes: &[Name], purpose: &Name) -> bool {
    purposes.is_empty() || purposes.iter().any(|known| known.split('/').next() == Some(&**purpose))
}
