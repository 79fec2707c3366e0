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
    /// Locale and variables, or the first variable that the template needs and that is not there.
    pub(super) fn content(&self, message: Message<'_>) -> Result<(Name, Value), Name> {
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
        for path in &localized.variables {
            if let Some(value) = self.variable(message, path) {
                put(&mut variables, path, value);
            }
        }
        for path in &localized.required {
            if path.first().is_some_and(|root| DISPATCHERS.contains(&&**root)) {
                continue;
            }
            match self.variable(message, path) {
                None | Some(Value::Null) => return Err(path.join(".").into()),
                Some(value) => put(&mut variables, path, value),
            }
        }
        Ok((locale.clone(), variables))
    }

    /// Whether a `digest` of the journey gives its items this name.
    fn digest_named(&self, message: Message<'_>, name: &str) -> bool {
        let mut steps = message.pinned.journey.steps.iter();
        steps.any(|step| matches!(&step.kind, StepKind::Digest(digest) if &*digest.name == name))
    }

    fn variable(&self, message: Message<'_>, path: &Path) -> Option<Value> {
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
            name if name == "items" || self.digest_named(message, name) => {
                let items = Value::List(view.items().map(item_value).collect());
                read_below(&items, rest)
            }
            "event" if rest.is_empty() => Some(run.entry.properties.clone()),
            "event" => run.entry.read(rest),
            _ => None,
        }
    }
}
