//! Values of properties and attributes: by type and name, and often such as the conditions of the
//! workspace ask for, so that both sides of a condition are met.

use crate::chance::Chance;
use crate::rows::rfc3339;
use chrono::{DateTime, Datelike, Days, NaiveDate};
use serde_json::{Value as Json, json};
use sojourn_model::{DurationMs, Name, Timestamp, Value};
use sojourn_rules::{Binary, Definitions, Expr, FieldKind, FieldPlan};
use std::collections::BTreeMap;

/// Different texts of one field, beside those that a condition names.
const TEXTS: usize = 6;
/// Days around now in which a date of something planned lies.
const PLANNED_DAYS: i64 = 60;

/// What the conditions compare each field with, by the field's own name.
#[derive(Debug, Default)]
pub(super) struct Values {
    numbers: BTreeMap<Name, Vec<f64>>,
    texts: BTreeMap<Name, Vec<Name>>,
}

impl Values {
    /// Reads them off the segments and journeys.
    pub(super) fn of(definitions: &Definitions) -> Self {
        let mut values = Self::default();
        definitions.walk(&mut |expr| values.learn(expr));
        for list in values.numbers.values_mut() {
            list.sort_by(f64::total_cmp);
            list.dedup();
        }
        for list in values.texts.values_mut() {
            list.sort_unstable();
            list.dedup();
        }
        values
    }

    fn learn(&mut self, expr: &Expr) {
        match expr {
            Expr::Binary(operator, a, b) => {
                if matches!(operator, Binary::In)
                    && let (Expr::Read(_, path), Expr::List(list)) = (&**a, &**b)
                {
                    list.iter().for_each(|one| self.take(path.last(), one));
                }
                for (one, other) in [(a, b), (b, a)] {
                    match &**one {
                        Expr::Read(_, path) => self.take(path.last(), other),
                        Expr::History(call) => {
                            let property = call.property.as_ref().and_then(|path| path.last());
                            self.take(property, other);
                        }
                        _ => {}
                    }
                }
            }
            Expr::History(call) => {
                call.filter.iter().for_each(|(path, value)| self.take(path.last(), value));
            }
            _ => {}
        }
    }

    fn take(&mut self, field: Option<&Name>, value: &Expr) {
        let (Some(field), Expr::Literal(value)) = (field, value) else { return };
        match value {
            Value::Number(number) if number.is_finite() => {
                self.numbers.entry(field.clone()).or_default().push(*number);
            }
            Value::Text(text) => self.texts.entry(field.clone()).or_default().push(text.clone()),
            _ => {}
        }
    }

    /// A value of `field` at `now`; null where its type says nothing.
    pub(super) fn draw(
        &self,
        field: &str,
        plan: &FieldPlan,
        now: Timestamp,
        chance: &mut Chance,
    ) -> Json {
        match plan.kind {
            Some(FieldKind::Number) => self.number(field, plan.unit.is_some(), chance),
            Some(FieldKind::Boolean) => chance.percent(50).into(),
            Some(FieldKind::Date) => {
                let days = chance.between(-PLANNED_DAYS, PLANNED_DAYS);
                rfc3339(now.plus(DurationMs::days(days)))[..10].into()
            }
            Some(FieldKind::Timestamp) => {
                let hours = chance.between(1, 24 * PLANNED_DAYS);
                rfc3339(now.plus(DurationMs::hours(hours))).into()
            }
            Some(FieldKind::List) => json!([self.text(field, chance)]),
            Some(FieldKind::Object) => Json::Null,
            Some(FieldKind::String) | None => self.text(field, chance).into(),
        }
    }

    fn number(&self, field: &str, money: bool, chance: &mut Chance) -> Json {
        if let Some(known) = self.numbers.get(field)
            && chance.percent(60)
        {
            // From well below to well above what is asked for.
            let around = known[chance.below(known.len())].abs().max(1.0);
            let percent = i32::try_from(chance.between(40, 180)).unwrap_or(100);
            return rounded(around * f64::from(percent) / 100.0, money);
        }
        let low = i32::try_from(chance.between(1, 12)).unwrap_or(1);
        let more = i32::try_from(chance.between(1, 9)).unwrap_or(1);
        if money { rounded(f64::from(low * more) * 0.95, true) } else { low.into() }
    }

    fn text(&self, field: &str, chance: &mut Chance) -> String {
        let known = self.texts.get(field).map_or(&[][..], Vec::as_slice);
        // The smaller of two draws: the first are the most frequent.
        let all = known.len() + TEXTS;
        let place = chance.below(all).min(chance.below(all));
        match known.get(place) {
            Some(text) => text.to_string(),
            None => format!("{field}-{}", place - known.len() + 1),
        }
    }
}

fn rounded(number: f64, money: bool) -> Json {
    let number = if money { (number * 100.0).round() / 100.0 } else { number.round() };
    // A whole number is written without a fraction.
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number:.0}").parse::<i64>().map_or(Json::Null, Json::from);
    }
    json!(number)
}

const FIRST_NAMES: [&str; 16] = [
    "Ada", "Ben", "Chloe", "Dario", "Ewa", "Farid", "Grace", "Hugo", "Ines", "Jan", "Kofi", "Lena",
    "Mei", "Nils", "Olga", "Tom",
];
const COUNTRIES: [&str; 4] = ["GB", "PL", "DE", "FR"];

/// A reserved attribute, or one whose name says what it is; none: draw it like another field.
pub(super) fn known_attribute(
    name: &str,
    plan: &FieldPlan,
    definitions: &Definitions,
    now: Timestamp,
    chance: &mut Chance,
) -> Option<Json> {
    Some(match name {
        "first_name" | "name" => FIRST_NAMES[chance.below(FIRST_NAMES.len())].into(),
        "locale" => {
            let locales = &definitions.workspace.locales;
            // Most people speak the first language of the workspace.
            locales.get(chance.below(locales.len().max(1)).min(chance.below(3)))?.to_string().into()
        }
        "preferred_channel" => {
            let channels: Vec<_> = definitions.workspace.channels.keys().collect();
            channels.get(chance.below(channels.len().max(1)))?.to_string().into()
        }
        "address" => json!({ "country": COUNTRIES[chance.below(COUNTRIES.len())] }),
        "birthday" => birthday(now, chance).into(),
        _ if plan.kind == Some(FieldKind::Date) && name.contains("birth") => {
            birthday(now, chance).into()
        }
        _ => return None,
    })
}

/// Of an adult, any day of the year.
fn birthday(now: Timestamp, chance: &mut Chance) -> String {
    let year = DateTime::from_timestamp_millis(now.0).map_or(2026, |now| now.year());
    let age = i32::try_from(chance.between(18, 80)).unwrap_or(40);
    let begin = NaiveDate::from_ymd_opt(year - age, 1, 1).unwrap_or_default();
    let day = begin.checked_add_days(Days::new(chance.below(365) as u64)).unwrap_or(begin);
    day.format("%Y-%m-%d").to_string()
}
