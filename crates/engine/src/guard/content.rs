//! What a message is made of: locale, and only the variables that its template uses.

use super::Message;
use crate::event::read_below;
use crate::journey::item_value;
use crate::scope::EventRef;
use crate::step::Step;
use crate::timeline::put;
use sojourn_model::{Name, Value};
use sojourn_rules::{Path, StepKind};

/// Roots that the dispatcher fills itself when it renders.
const DISPATCHERS: [&str; 4] = ["links", "company", "workspace", "locale"];

impl Step<'_> {
    /// Locale, variables and whether the items are among them; or the first variable that the template
    /// needs and that is not there.
    pub(super) fn content(
        &self,
        message: Message<'_>,
        channel: &str,
        endpoint: &str,
    ) -> Result<(Name, Value, bool), Name> {
        let Message { pinned, send, .. } = message;
        let definitions = &pinned.installed.definitions;
        let template = definitions
            .templates
            .get(&send.template)
            .ok_or_else(|| Name::from(format!("template {}", send.template)))?;
        let locales = &definitions.workspace.locales;
        let chosen = template.choose(self.profile.locale(), locales);
        let (locale, localized) = chosen.ok_or_else(|| Name::from("locale"))?;
        let mut variables = Value::Map(Vec::new());
        let reads_items =
            |path: &Path| path.first().is_some_and(|root| self.items_named(message, root));
        let shows_items = localized.variables.iter().any(reads_items);
        let items = if shows_items { self.items(message, channel, endpoint) } else { Value::Null };
        for path in &localized.variables {
            if let Some(value) = self.variable(message, path, &items) {
                put(&mut variables, path, value);
            }
        }
        for path in &localized.required {
            if path.first().is_some_and(|root| DISPATCHERS.contains(&&**root)) {
                continue;
            }
            match self.variable(message, path, &items) {
                None | Some(Value::Null) => return Err(path.join(".").into()),
                Some(value) => put(&mut variables, path, value),
            }
        }
        Ok((locale.clone(), variables, shows_items))
    }

    /// Whether a template's variable means the items: `items`, or as a `digest` of the journey names
    /// them.
    fn items_named(&self, message: Message<'_>, name: &str) -> bool {
        let mut steps = message.pinned.journey.steps.iter();
        let digests =
            |kind: &StepKind| matches!(kind, StepKind::Digest(digest) if &*digest.name == name);
        !message.send.variables.iter().any(|(own, _)| &**own == name)
            && (name == "items" || steps.any(|step| digests(&step.kind)))
    }

    /// What the run's digest collected and what full caps put off, in order of occurrence.
    fn items(&self, message: Message<'_>, channel: &str, endpoint: &str) -> Value {
        let Message { place, pinned, .. } = message;
        let run = &self.profile.runs[place];
        let view =
            self.view(&pinned.installed.definitions, EventRef::Stored(&run.entry), Some(run));
        let mut items: Vec<_> = view.items().collect();
        items.extend(self.waiting_items(message, channel, endpoint));
        items.sort_by_key(|item| item.stamp);
        // One event is one item, whatever put it off more than once.
        items.dedup_by_key(|item| item.stamp);
        Value::List(items.into_iter().map(item_value).collect())
    }

    fn variable(&self, message: Message<'_>, path: &Path, items: &Value) -> Option<Value> {
        let Message { place, pinned, send, .. } = message;
        let (root, rest) = path.split_first()?;
        if let Some((_, value)) = send.variables.iter().find(|(name, _)| name == root) {
            return read_below(&self.run_value(place, pinned, value)?, rest);
        }
        let run = &self.profile.runs[place];
        let event = EventRef::Stored(&run.entry);
        let view = self.view(&pinned.installed.definitions, event, Some(run));
        match &**root {
            "profile" => view.person(rest),
            "run" => view.run(rest),
            name if self.items_named(message, name) => read_below(items, rest),
            "event" if rest.is_empty() => Some(run.entry.properties.clone()),
            "event" => run.entry.read(rest),
            _ => None,
        }
    }
}
