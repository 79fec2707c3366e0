//! Templates: per-locale texts and the variables they read.

use super::Path;
use sojourn_model::Name;
use std::collections::BTreeMap;

/// A template with all of its locales.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Name.
    pub name: Name,
    /// By locale.
    pub locales: BTreeMap<Name, Localized>,
}

/// One locale of a template.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Localized {
    /// Liquid.
    pub subject: String,
    /// Liquid.
    pub preheader: String,
    /// Liquid over the body's text.
    pub body: String,
    /// What the body is.
    pub body_kind: BodyKind,
    /// Liquid plain text, when a `.txt` stands beside another body.
    pub text: Option<String>,
    /// Rewrite links for click tracking.
    pub link_tracking: bool,
    /// Contains promotional content: not allowed in `service`.
    pub promotional: bool,
    /// Paths of variables that it reads (`profile.first_name` is `["profile", "first_name"]`).
    pub variables: Vec<Path>,
    /// Those of them that have no default: a candidate lacking one is refused (`content`).
    pub required: Vec<Path>,
}

/// Format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "file endings")]
pub enum BodyKind {
    #[default]
    Text,
    Html,
    Mjml,
}

impl Template {
    /// The locale to use: the wanted one, its language, then the workspace's first that exists.
    pub fn choose<'a>(
        &'a self,
        wanted: Option<&str>,
        fallbacks: &[Name],
    ) -> Option<(&'a Name, &'a Localized)> {
        let language = wanted.and_then(|locale| locale.split(['-', '_']).next());
        wanted
            .into_iter()
            .chain(language)
            .chain(fallbacks.iter().map(|name| &**name))
            .find_map(|locale| self.locales.get_key_value(locale))
            .or_else(|| self.locales.iter().next())
    }
}
