//! From an approved action to the message that goes out: Liquid, MJML, footer, links.
//!
//! - A variable that is missing and has no default stops the message; it never goes out broken.
//! - Variables are escaped in HTML and MJML bodies; a line break in a subject is refused.
//! - Input, output and loop steps are bounded (LIM-1) by counts, not by a clock, so that a message
//!   renders everywhere or nowhere.
//! - A message whose purpose is not service shows the unsubscribe link and the postal address: a
//!   footer is added when the template does not.

mod compile;
mod filters;
mod html;
mod instrument;
mod links;
mod variables;

pub use links::{LinkBase, Links};

use compile::CompiledTemplate;
use parking_lot::Mutex;
use sojourn_model::{Action, Name, VersionId};
use sojourn_proto::channel::Message;
use sojourn_rules::{BodyKind, Definitions, Localized};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of one rendered part (LIM-1).
pub const OUTPUT_BYTES_MAX: usize = 512 << 10;
/// Bytes of a rendered subject or preheader: a header line of sane length.
pub const LINE_BYTES_MAX: usize = 2_000;
/// Compiled templates kept; beyond it all are compiled anew.
const COMPILED_MAX: usize = 512;

/// Why a message could not be rendered. Final for this action: the same input gives the same error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The version's definitions are not here.
    #[error("version {0} of the definitions is not loaded")]
    NoVersion(VersionId),
    /// The template or its locale is not in this version.
    #[error("template {template} has no locale {locale} in version {version}")]
    NoTemplate {
        /// Template.
        template: Name,
        /// Locale.
        locale: Name,
        /// Version.
        version: VersionId,
    },
    /// A variable without a default is missing.
    #[error("variable {0} is missing and has no default")]
    Missing(String),
    /// The template does not parse or fails while it renders. Never contains a variable's value.
    #[error("{0}")]
    Template(String),
    /// Over a limit.
    #[error("{what} is over the limit of {limit}")]
    Limit {
        /// What.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A link could not be signed.
    #[error("a link could not be signed: {0}")]
    Link(#[from] crate::token::TokenError),
}

impl RenderError {
    fn limit(what: &'static str, limit: usize) -> Self {
        Self::Limit { what, limit }
    }
}

/// Finds the definitions of a version.
pub type Versions = Arc<dyn Fn(VersionId) -> Option<Arc<Definitions>> + Send + Sync>;

type CompiledKey = (VersionId, Name, Name);

/// Renders messages. Shared by all deliveries.
pub struct Renderer {
    versions: Versions,
    links: Links,
    compiled: Mutex<HashMap<CompiledKey, Arc<CompiledTemplate>>>,
    parser: liquid::Parser,
}

impl Renderer {
    /// A renderer that finds definitions by `versions` and signs links by `links`.
    pub fn new(versions: Versions, links: Links) -> Self {
        Self { versions, links, compiled: Mutex::default(), parser: compile::parser() }
    }

    /// The message of `action`.
    pub fn render(&self, action: &Action) -> Result<Message, RenderError> {
        let definitions =
            (self.versions)(action.version).ok_or(RenderError::NoVersion(action.version))?;
        let localized = definitions
            .templates
            .get(&action.template)
            .and_then(|template| template.locales.get(&action.locale))
            .ok_or_else(|| RenderError::NoTemplate {
                template: action.template.clone(),
                locale: action.locale.clone(),
                version: action.version,
            })?;
        let compiled = self.compiled(action, localized)?;
        let signed = self.links.sign(action)?;
        let globals =
            variables::globals(action, localized, &definitions.workspace.company, &signed)?;
        let mut message = Message {
            subject: compiled.line("subject", &compiled.subject, &globals)?,
            preheader: compiled.line("preheader", &compiled.preheader, &globals)?,
            variables_json: variables::to_json(&action.variables).to_string().into_bytes(),
            preferences_url: signed.preferences.clone(),
            why_url: signed.why.clone(),
            ..Message::default()
        };
        let service = definitions.policy.purpose(&action.purpose).is_some_and(|(_, p)| p.service);
        if !service {
            message.unsubscribe_url = signed.unsubscribe.clone();
        }
        compiled.bodies(localized, &globals, &mut message)?;
        if !service {
            let company = &definitions.workspace.company;
            add_footers(&mut message, action, company, localized.body_kind);
        }
        self.finish_html(action, localized, &mut message)?;
        for part in [&message.html, &message.text] {
            if part.len() > OUTPUT_BYTES_MAX {
                return Err(RenderError::limit("bytes of a rendered body", OUTPUT_BYTES_MAX));
            }
        }
        Ok(message)
    }

    fn compiled(
        &self,
        action: &Action,
        localized: &Localized,
    ) -> Result<Arc<CompiledTemplate>, RenderError> {
        let key = (action.version, action.template.clone(), action.locale.clone());
        if let Some(found) = self.compiled.lock().get(&key) {
            return Ok(Arc::clone(found));
        }
        let compiled = Arc::new(CompiledTemplate::new(&self.parser, localized)?);
        let mut cache = self.compiled.lock();
        if cache.len() >= COMPILED_MAX {
            cache.clear();
        }
        cache.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }

    /// Text part, preheader, tracked links and open pixel of an HTML message.
    fn finish_html(
        &self,
        action: &Action,
        localized: &Localized,
        message: &mut Message,
    ) -> Result<(), RenderError> {
        if message.html.is_empty() {
            return Ok(());
        }
        if message.text.is_empty() {
            message.text = html::to_text(&message.html); // before links are rewritten
        }
        if !message.preheader.is_empty() {
            let text = filters::escape_once(&message.preheader);
            html::after_start(
                &mut message.html,
                &format!("<div style=\"display:none;max-height:0;overflow:hidden\">{text}</div>"),
            );
        }
        if localized.link_tracking {
            message.html = self.links.track(action, &message.html, OUTPUT_BYTES_MAX)?;
        }
        Ok(())
    }
}

/// Adds what the law wants to see and the template does not show.
fn add_footers(
    message: &mut Message,
    action: &Action,
    company: &sojourn_rules::Company,
    kind: BodyKind,
) {
    if kind != BodyKind::Text {
        let link = filters::escape_once(&message.unsubscribe_url);
        let address = filters::escape_once(&company.postal_address);
        let shows = |text: &str| message.html.contains(text);
        let missing_link = !shows(&link) && !shows(&message.unsubscribe_url);
        let missing_address = !shows(&address) && !shows(&company.postal_address);
        if missing_link || missing_address {
            let footer = links::html_footer(message, action, company, missing_link);
            html::before_end(&mut message.html, &footer);
        }
    }
    // A text of its own needs the footer too; texts of channels without addresses (push, in-store)
    // have no room for it, their way out is the preference centre.
    if !message.text.is_empty() && &*action.channel == "email" {
        let missing_link = !message.text.contains(&message.unsubscribe_url);
        let missing_address = !message.text.contains(&*company.postal_address);
        if missing_link || missing_address {
            let footer = links::text_footer(message, action, company, missing_link);
            message.text.push_str(&footer);
        }
    }
}

#[cfg(test)]
mod tests;
