//! Templates: compiled with the workspace and, where they compile, rendered. The first byte chooses
//! the kind of body; what is behind a line `---` is the subject.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sojourn_channels::render::{LinkBase, Links, OUTPUT_BYTES_MAX, Renderer};
use sojourn_channels::token::Signer;
use sojourn_fuzz::{NOW, compile_checked};
use sojourn_model::{Action, Name, Value, VersionId};
use sojourn_proto::{ActionRecord, decode_action_record};
use std::sync::Arc;

/// An action of the template `t`: one that was recorded, with other variables.
fn action(version: VersionId) -> Action {
    let recorded = include_bytes!("../seeds/records/action");
    let Ok((_, ActionRecord::Action(mut action))) = decode_action_record(recorded) else {
        panic!("the recorded action reads");
    };
    let name = Name::from;
    let properties = Value::Map(vec![
        (name("n"), Value::Number(2.5)),
        (name("id"), Value::text("<i>&\"'")),
        (name("tags"), Value::List(vec![Value::text("a"), Value::Null, Value::Number(1e20)])),
        (name("at"), Value::Instant(NOW)),
    ]);
    action.version = version;
    action.channel = name("email");
    action.endpoint = name("ann@example.com");
    action.journey = name("j");
    action.template = name("t");
    action.locale = name("en");
    action.variables = Value::Map(vec![
        (name("event"), Value::Map(vec![(name("properties"), properties)])),
        (name("profile"), Value::Map(vec![(name("tier"), Value::text("gold"))])),
    ]);
    *action
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (body, subject) = text.split_once("\n---\n").unwrap_or((text, "Hello {{ profile.tier }}"));
    let file = ["en.txt", "en.html", "en.mjml"][usize::from(choice) % 3];
    let quoted = subject.replace('\'', "''");
    let head = format!("subject: '{quoted}'\nbody: {file}\n");
    let compiled = compile_checked(&[
        ("templates/t/en.yaml", &head),
        (&format!("templates/t/{file}"), body),
    ]);
    let Some(definitions) = compiled.definitions else { return };
    let base = LinkBase { gateway: "https://go.example".into(), portal: "https://my.example".into() };
    let signer = Signer::new(&[b"0123456789abcdef0123456789abcdef"]).expect("a key of 32 bytes");
    let action = action(definitions.version);
    let renderer =
        Renderer::new(Arc::new(move |_| Some(Arc::clone(&definitions))), Links::new(base, signer));
    if let Ok(message) = renderer.render(&action) {
        assert!(message.html.len() <= OUTPUT_BYTES_MAX && message.text.len() <= OUTPUT_BYTES_MAX);
        assert!(!message.subject.contains(['\r', '\n']), "{:?}", message.subject);
    }
});
