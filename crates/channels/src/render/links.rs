//! Links of a message: unsubscribe, preferences, why; tracked links and the open pixel.

use super::{RenderError, html};
use crate::token::{Signer, Token, TokenError, TokenKind};
use sojourn_model::{Action, Name};
use sojourn_proto::channel::Message;
use sojourn_rules::Company;

/// Where the links lead. Without a trailing slash.
#[derive(Debug, Clone)]
pub struct LinkBase {
    /// Public address of the gateway: `/u/{token}`, `/c/{token}`, `/o/{token}`.
    pub gateway: String,
    /// Public address of the portal: `/preferences/{token}`, `/why/{token}`.
    pub portal: String,
}

/// Signs the links of messages.
#[derive(Debug, Clone)]
pub struct Links {
    base: LinkBase,
    signer: Signer,
}

/// The links of one message.
#[derive(Debug, Clone)]
pub(super) struct SignedLinks {
    pub(super) unsubscribe: String,
    pub(super) preferences: String,
    pub(super) why: String,
}

impl Links {
    /// Links below `base`, signed by `signer`.
    pub fn new(mut base: LinkBase, signer: Signer) -> Self {
        for url in [&mut base.gateway, &mut base.portal] {
            url.truncate(url.trim_end_matches('/').len());
        }
        Self { base, signer }
    }

    fn mint(
        &self,
        action: &Action,
        kind: TokenKind,
        url: Option<&str>,
    ) -> Result<String, TokenError> {
        self.signer.mint(&Token {
            kind,
            action: action.id,
            profile: action.profile,
            endpoint: action.endpoint.clone(),
            channel: action.channel.clone(),
            purpose: action.purpose.clone(),
            topic: action.topic.clone(),
            url: url.map(Name::from),
        })
    }

    pub(super) fn sign(&self, action: &Action) -> Result<SignedLinks, RenderError> {
        let LinkBase { gateway, portal } = &self.base;
        let unsubscribe = self.mint(action, TokenKind::Unsubscribe, None)?;
        let preferences = self.mint(action, TokenKind::Preferences, None)?;
        let why = self.mint(action, TokenKind::Why, None)?;
        Ok(SignedLinks {
            unsubscribe: format!("{gateway}/u/{unsubscribe}"),
            preferences: format!("{portal}/preferences/{preferences}"),
            why: format!("{portal}/why/{why}"),
        })
    }

    /// Leads every web link through `/c/{token}` and adds the open pixel. Our own links stay: an
    /// unsubscribe is never counted as a click. A link that cannot be carried by a token stays too.
    pub(super) fn track(
        &self,
        action: &Action,
        source: &str,
        limit: usize,
    ) -> Result<String, RenderError> {
        let LinkBase { gateway, portal } = &self.base;
        let own =
            [format!("{gateway}/u/"), format!("{portal}/preferences/"), format!("{portal}/why/")];
        let mut length = source.len();
        let mut html = html::rewrite_links(source, &mut |href| {
            if own.iter().any(|own| href.starts_with(own)) || length > limit {
                return None;
            }
            let token = self.mint(action, TokenKind::Click, Some(href)).ok()?;
            length += token.len();
            Some(format!("{gateway}/c/{token}"))
        });
        if length > limit {
            return Err(RenderError::limit("bytes of a body with tracked links", limit));
        }
        let open = self.mint(action, TokenKind::Open, None)?;
        html::before_end(
            &mut html,
            &format!(
                "<img src=\"{gateway}/o/{open}\" width=\"1\" height=\"1\" alt=\"\" \
                 style=\"display:block\">"
            ),
        );
        Ok(html)
    }
}

/// Words of the footer: unsubscribe, preferences, why.
fn words(locale: &str) -> [&'static str; 3] {
    match locale.split(['-', '_']).next().unwrap_or("") {
        "de" => ["Abmelden", "Einstellungen", "Warum erhalte ich das?"],
        "es" => ["Darse de baja", "Preferencias", "¿Por qué recibo esto?"],
        "fr" => ["Se désabonner", "Préférences", "Pourquoi ai-je reçu ceci ?"],
        "it" => ["Annulla iscrizione", "Preferenze", "Perché ricevo questo?"],
        "nl" => ["Afmelden", "Voorkeuren", "Waarom krijg ik dit?"],
        "pl" => ["Wypisz się", "Ustawienia", "Dlaczego to dostaję?"],
        _ => ["Unsubscribe", "Preferences", "Why did I get this?"],
    }
}

/// Footer of an HTML body.
pub(super) fn html_footer(
    message: &Message,
    action: &Action,
    company: &Company,
    with_links: bool,
) -> String {
    let escape = super::filters::escape_once;
    let [unsubscribe, preferences, why] = words(&action.locale);
    let links = if with_links {
        format!(
            "<br><a href=\"{}\">{unsubscribe}</a> · <a href=\"{}\">{preferences}</a> · \
             <a href=\"{}\">{why}</a>",
            escape(&message.unsubscribe_url),
            escape(&message.preferences_url),
            escape(&message.why_url)
        )
    } else {
        String::new()
    };
    format!(
        "<p style=\"font:12px sans-serif;color:#666;text-align:center\">{}, {}{links}</p>",
        escape(&company.name),
        escape(&company.postal_address)
    )
}

/// Footer of a text body.
pub(super) fn text_footer(
    message: &Message,
    action: &Action,
    company: &Company,
    with_links: bool,
) -> String {
    let [unsubscribe, preferences, _] = words(&action.locale);
    let mut footer = format!("\n\n-- \n{}, {}\n", company.name, company.postal_address);
    if with_links {
        footer.push_str(&format!(
            "{unsubscribe}: {}\n{preferences}: {}\n",
            message.unsubscribe_url, message.preferences_url
        ));
    }
    footer
}
