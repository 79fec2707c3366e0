//! What goes out, and what must not.

use super::*;
use crate::token::{Signer, TokenKind};
use sojourn_model::{
    ActionId, CandidateId, DecisionId, LogPosition, MessageClass, ProfileId, Timestamp, Value,
};
use sojourn_rules::{Policy, Purpose, Template, TrackingPlan, Workspace};
use std::collections::BTreeMap;

const KEY: &[u8] = b"a key of thirty-two bytes, yes..";

fn name(text: &str) -> Name {
    Name::from(text)
}

fn path(text: &str) -> Arc<[Name]> {
    text.split('.').map(Name::from).collect()
}

fn action(purpose: &str, variables: &[(&str, Value)]) -> Action {
    let profile = ProfileId::created_at(1, 9);
    let map = variables.iter().map(|(key, value)| (name(key), value.clone())).collect();
    Action {
        id: ActionId(CandidateId { profile, run: 1, step: 2, visit: 0 }),
        decision: DecisionId { position: LogPosition { partition: 0, offset: 5 }, index: 0 },
        profile,
        channel: name("email"),
        endpoint: name("ann@example.com"),
        purpose: name(purpose),
        topic: Some(name("offers")),
        journey: name("abandoned-cart"),
        version: VersionId(7),
        run_key: None,
        step: name("remind"),
        template: name("t"),
        locale: name("en"),
        variables: Value::Map(vec![(name("profile"), Value::Map(map))]),
        expires: None,
        quiet_from: None,
        quiet_until: None,
        approved_at: Timestamp(1_000),
        cause: name("m1"),
        class: MessageClass::AtMostOnce,
        priority: 50,
        identifiers: Vec::new(),
    }
}

fn definitions(localized: Localized) -> Arc<Definitions> {
    let workspace = Workspace {
        company: sojourn_rules::Company {
            name: name("Marlow Bakery"),
            postal_address: name("12 Mill Lane, York"),
            privacy_contact: name("privacy@marlow.example"),
        },
        ..Workspace::default()
    };
    let purposes = vec![
        Purpose { name: name("service"), service: true, ..Purpose::default() },
        Purpose { name: name("marketing"), ..Purpose::default() },
    ];
    let template = Template { name: name("t"), locales: BTreeMap::from([(name("en"), localized)]) };
    Arc::new(Definitions {
        version: VersionId(7),
        workspace,
        plan: TrackingPlan::default(),
        policy: Policy { purposes, ..Policy::default() },
        segments: BTreeMap::new(),
        journeys: Vec::new(),
        templates: BTreeMap::from([(name("t"), template)]),
        by_event: BTreeMap::new(),
        tracked: BTreeMap::new(),
    })
}

fn renderer(localized: Localized) -> Renderer {
    let definitions = definitions(localized);
    let links = Links::new(
        LinkBase { gateway: "https://go.example/".into(), portal: "https://my.example".into() },
        Signer::new(&[KEY]).unwrap(),
    );
    Renderer::new(Arc::new(move |_| Some(Arc::clone(&definitions))), links)
}

fn html(body: &str) -> Localized {
    Localized {
        subject: "Hello {{ profile.first_name | default: 'there' }}".into(),
        body: body.into(),
        body_kind: BodyKind::Html,
        variables: vec![path("profile.first_name")],
        ..Localized::default()
    }
}

#[test]
fn defaults_fill_what_is_missing() {
    let message = renderer(html("<p>x</p>")).render(&action("marketing", &[])).unwrap();
    assert_eq!(message.subject, "Hello there");
    let ann = action("marketing", &[("first_name", Value::text("Ann"))]);
    let message = renderer(html("<p>x</p>")).render(&ann).unwrap();
    assert_eq!(message.subject, "Hello Ann");
}

#[test]
fn a_missing_variable_stops_the_message() {
    let with = |required: bool, body: &str| {
        let mut template = html(body);
        template.variables.push(path("profile.town"));
        if required {
            template.required.push(path("profile.town"));
        }
        renderer(template).render(&action("marketing", &[]))
    };
    assert_eq!(
        with(true, "{{ profile.town | upcase }}"),
        Err(RenderError::Missing("profile.town".into()))
    );
    assert!(matches!(with(false, "{{ profile.town }}"), Err(RenderError::Template(_))));
    let message = with(false, "a{% if profile.town %}{{ profile.town }}{% endif %}b").unwrap();
    assert!(message.html.starts_with("ab"));
    // A path that nobody declared is missing too.
    assert!(renderer(html("{{ profile.other }}")).render(&action("marketing", &[])).is_err());
}

#[test]
fn variables_are_escaped_in_markup_and_not_in_text() {
    let evil = action("marketing", &[("first_name", Value::text("<script>&\"'"))]);
    let message = renderer(html("<p>{{ profile.first_name }}</p>")).render(&evil).unwrap();
    assert!(message.html.contains("&lt;script&gt;&amp;&quot;&#39;"), "{}", message.html);
    assert!(!message.html.contains("<script>"));
    assert!(message.text.contains("<script>&\"'"));
    let twice = renderer(html("<p>{{ profile.first_name | escape }}</p>")).render(&evil).unwrap();
    assert!(twice.html.contains("<p>&lt;script&gt;&amp;&quot;&#39;</p>"), "{}", twice.html);
}

#[test]
fn a_line_break_does_not_reach_a_header() {
    let evil = action("marketing", &[("first_name", Value::text("x\r\nBcc: all@example.com"))]);
    assert!(matches!(renderer(html("x")).render(&evil), Err(RenderError::Template(_))));
}

#[test]
fn marketing_shows_the_way_out_and_service_does_not() {
    let message = renderer(html("<html><body><p>x</p></body></html>"))
        .render(&action("marketing", &[]))
        .unwrap();
    assert!(message.unsubscribe_url.starts_with("https://go.example/u/"));
    assert!(message.html.contains(&message.unsubscribe_url));
    assert!(message.html.contains("12 Mill Lane, York"));
    assert!(message.html.ends_with("</p></body></html>"), "{}", message.html);
    assert!(message.text.contains(&message.unsubscribe_url), "{}", message.text);

    let own = renderer(html(
        "<a href=\"{{ links.unsubscribe }}\">bye</a> {{ company.name }}, {{ company.postal_address }}",
    ))
        .render(&action("marketing", &[]))
        .unwrap();
    assert_eq!(own.html.matches("/u/").count(), 1, "{}", own.html);
    assert!(own.html.ends_with("bye</a> Marlow Bakery, 12 Mill Lane, York"), "{}", own.html);

    let service = renderer(html("<p>x</p>")).render(&action("service", &[])).unwrap();
    assert_eq!((service.html.as_str(), service.unsubscribe_url.as_str()), ("<p>x</p>", ""));
}

#[test]
fn tracked_links_carry_their_target() {
    let mut template = html("<body><a href=\"https://shop.example/?a=1&amp;b=2\">cake</a></body>");
    template.link_tracking = true;
    let message = renderer(template).render(&action("marketing", &[])).unwrap();
    let at = message.html.find("https://go.example/c/").unwrap() + "https://go.example/c/".len();
    let token: String = message.html[at..].chars().take_while(|c| *c != '"').collect();
    let token = Signer::new(&[KEY]).unwrap().verify(TokenKind::Click, &token).unwrap();
    assert_eq!(token.url.as_deref(), Some("https://shop.example/?a=1&b=2"));
    assert!(message.html.contains("https://go.example/o/"));
    assert_eq!(message.html.matches("/c/").count(), 1, "our own links are not tracked");
    assert!(message.text.contains("cake (https://shop.example/?a=1&b=2)"));
}

#[test]
fn mjml_becomes_html() {
    let mut template = html(
        "<mjml><mj-body><mj-section><mj-column><mj-text>Hi {{ profile.first_name }}</mj-text>\
         <mj-button href=\"https://shop.example/?a=1&amp;b=2\">Go</mj-button></mj-column>\
         </mj-section></mj-body></mjml>",
    );
    template.body_kind = BodyKind::Mjml;
    template.preheader = "Soon".into();
    let ann = action("marketing", &[("first_name", Value::text("Ann & <Bob>"))]);
    let message = renderer(template.clone()).render(&ann).unwrap();
    assert!(message.html.contains("<!doctype html>"));
    assert!(message.html.contains("Hi Ann &amp; &lt;Bob&gt;"), "{}", message.html);
    assert!(message.text.contains("Hi Ann & <Bob>"), "{}", message.text);
    assert!(message.html.contains(&message.unsubscribe_url));
    template.body = "<mjml><mj-body><mj-nonsense>".into();
    assert!(renderer(template).render(&ann).is_err());
}

#[test]
fn templates_are_bounded() {
    let cases = [
        "{% for i in (1..900) %}{% for j in (1..900) %}{% endfor %}{% endfor %}",
        "{% for i in (1..500) %}{% assign a = a | append: 'xxxxxxxxxx' | append: a %}{% endfor %}",
        "{% for i in (1..profile.n) %}x{% endfor %}",
    ];
    for body in cases {
        let n = action("marketing", &[("n", Value::Number(1e9))]);
        let mut template = html(body);
        template.body = format!("{{% assign a = 'x' %}}{body}");
        assert!(renderer(template).render(&n).is_err(), "{body}");
    }
    let long = "x".repeat(2_000);
    let body = format!("{{% for i in (1..500) %}}{long}{{% endfor %}}");
    let got = renderer(html(&body)).render(&action("marketing", &[]));
    assert_eq!(got, Err(RenderError::limit("bytes of a rendered part", OUTPUT_BYTES_MAX)));
    let stars = "{% for i in (1..profile.n) %}*{% endfor %}";
    let three = action("service", &[("n", Value::Number(3.0))]);
    assert_eq!(renderer(html(stars)).render(&three).unwrap().html, "***");
}

#[test]
fn numbers_and_instants_read_naturally() {
    let body = "{{ profile.points }} {{ profile.price }} {{ profile.at | date: '%d %b %Y' }}";
    let values = [
        ("points", Value::Number(20.0)),
        ("price", Value::Number(3.5)),
        ("at", Value::Instant(Timestamp(1_772_000_000_000))),
    ];
    let message = renderer(html(body)).render(&action("service", &values)).unwrap();
    assert_eq!(message.html, "20 3.5 25 Feb 2026");
    let json: serde_json::Value = serde_json::from_slice(&message.variables_json).unwrap();
    assert_eq!(json["profile"]["points"], 20);
    assert_eq!(json["profile"]["at"], "2026-02-25T06:13:20.000Z");
    // As the log gives an instant back, and as sources write it.
    for text in ["2026-02-25T06:13:20.000Z", "2026-02-25T07:13:20+01:00", "2026-02-25"] {
        let at = action("service", &[("at", Value::text(text))]);
        let body = "{{ profile.at | date: '%d %b %Y' }} {{ profile.at }}";
        let message = renderer(html(body)).render(&at).unwrap();
        assert_eq!(message.html, format!("25 Feb 2026 {text}"));
    }
}

#[test]
fn errors_do_not_show_values() {
    let secret = action("marketing", &[("first_name", Value::text("SECRET"))]);
    let error = renderer(html("{{ profile.first_name | date: 3 | divided_by: 0 }}{{ profile.x }}"))
        .render(&secret)
        .unwrap_err();
    assert!(!error.to_string().contains("SECRET"), "{error}");
}
