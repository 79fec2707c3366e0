//! What stands in the way of a publish that takes people along to the new version.

use crate::files::Files;
use crate::finding::{Finding, Severity};
use sojourn_model::Name;

/// Why runs cannot go over to the new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranded {
    /// The journey is gone.
    Journey,
    /// Their step is gone.
    Step,
    /// Their step is one of another kind.
    Kind,
}

/// `runs` runs stand at `step` of `journey`, and the version made of `files` has no such place.
pub fn impossible_mapping(
    files: &Files,
    journey: &Name,
    step: &Name,
    runs: u64,
    why: Stranded,
) -> Finding {
    let (stand, they) = if runs == 1 { ("run stands", "it") } else { ("runs stand", "they") };
    let (what, remedy) = match why {
        Stranded::Journey => (
            "but the new version does not have that journey".to_owned(),
            format!(
                "let {they} end in the old version with `--drain {journey}`, or end the journey with `--stop {journey}`"
            ),
        ),
        Stranded::Step => (
            "which the new version does not have".to_owned(),
            format!(
                "say where {they} go on with `--map {journey}:{step}=STEP`, or publish with `--drain {journey}`"
            ),
        ),
        Stranded::Kind => (
            "which is a step of another kind in the new version".to_owned(),
            format!(
                "give the new step an id of its own and say where {they} go on with `--map {journey}:{step}=STEP`, or publish with `--drain {journey}`"
            ),
        ),
    };
    let message = format!("{runs} {stand} at step `{step}` of {journey}, {what}");
    Finding { rule: "impossible-mapping", ..finding(files, journey, message, remedy) }
}

/// What stands now at the place of a step without an id of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// One that says the same, and so do others.
    Alike,
    /// Another one; theirs stands here.
    Elsewhere(Name),
    /// Another one, and theirs is nowhere.
    Other,
}

/// `runs` runs go over at a step without an id of its own.
pub fn mapped_by_place(
    files: &Files,
    journey: &Name,
    step: &Name,
    runs: u64,
    became: &Became,
) -> Finding {
    let (they, stand) = if runs == 1 { ("it", "1 run stands") } else { ("they", "runs stand") };
    let stand = if runs == 1 { stand.to_owned() } else { format!("{runs} {stand}") };
    let (what, remedy) = match became {
        Became::Alike => (
            format!("{they} would go on there, though other steps say the same"),
            format!(
                "look whether it is the same step, else say where {they} go on with `--map {journey}:{step}=STEP`"
            ),
        ),
        Became::Elsewhere(place) => (
            format!(
                "their step moved to `{place}`, and at `{step}` stands another one now, where {they} would go on"
            ),
            format!("take them along with `--map {journey}:{step}={place}`"),
        ),
        Became::Other => (
            format!("at that place stands another step now, where {they} would go on"),
            format!(
                "say where {they} go on with `--map {journey}:{step}=STEP`, or publish with `--drain {journey}`"
            ),
        ),
    };
    let message =
        format!("{stand} at step `{step}` of {journey}, which has no id of its own: {what}");
    let remedy = format!("{remedy}; give steps at which people wait an `id`");
    let found = finding(files, journey, message, remedy);
    Finding { rule: "mapped-by-place", severity: Severity::Warning, ..found }
}

/// What comes of a step of the new version that reads what the old one did not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// Its conditions are false there, its values missing.
    Missing,
    /// Its message is refused.
    Content,
    /// The run ends.
    NoDate,
}

/// `runs` runs that go over come to step `step` of `journey`, which reads `fields` that they lack.
pub fn lost_property(
    files: &Files,
    journey: &Name,
    step: &Name,
    fields: &[Name],
    runs: u64,
    lacking: Lacking,
) -> Finding {
    let list = fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
    let (severity, then, remedy) = match lacking {
        Lacking::Missing => (
            Severity::Warning,
            "conditions that read it are false for them, and values missing",
            "make sure that this is meant, or publish with",
        ),
        Lacking::Content => (
            Severity::Error,
            "the template has no default for it, so their message would be refused (content)",
            "give it a default in the template, or publish with",
        ),
        Lacking::NoDate => (
            Severity::Error,
            "it is the date that they would wait for, so they would end there (no_date)",
            "wait for a date that the person has, or publish with",
        ),
    };
    let who = if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
    let message = format!(
        "step `{step}` of {journey} reads {list}, which the version that {who} entered with did not keep: {then}"
    );
    let found = finding(files, journey, message, format!("{remedy} `--drain {journey}`"));
    Finding { rule: "lost-property", severity, ..found }
}

/// An error at the journey's place.
fn finding(files: &Files, journey: &Name, message: String, remedy: String) -> Finding {
    let (file, line) = place(files, journey);
    Finding { severity: Severity::Error, rule: "", file, line, column: 1, message, remedy }
}

/// File and line that name the journey; the file that would, when there is none.
fn place(files: &Files, journey: &Name) -> (String, u32) {
    for (path, text) in files.0.iter().filter(|(path, _)| path.starts_with("journeys/")) {
        for (line, text) in (1u32..).zip(text.lines()) {
            let named =
                text.strip_prefix("journey:").map(|name| name.trim().trim_matches(['"', '\'']));
            if named.is_some_and(|name| name == &**journey) {
                return (path.clone(), line);
            }
        }
    }
    (format!("journeys/{journey}.yaml"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finding_stands_where_the_journey_does_and_says_what_to_do() {
        let mut files = Files::default();
        files.0.insert("journeys/x.yaml".into(), "# carts\njourney: cart\n".into());
        let found =
            impossible_mapping(&files, &"cart".into(), &"settle".into(), 12, Stranded::Step);
        assert_eq!((&*found.file, found.line), ("journeys/x.yaml", 2));
        assert_eq!(
            found.message,
            "12 runs stand at step `settle` of cart, which the new version does not have"
        );
        assert!(found.remedy.contains("--map cart:settle=STEP"), "{}", found.remedy);
        let gone = impossible_mapping(&files, &"visit".into(), &"w".into(), 1, Stranded::Journey);
        assert_eq!(&*gone.file, "journeys/visit.yaml");
        assert!(gone.message.starts_with("1 run stands at step"), "{}", gone.message);
    }
}
