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

/// `runs` runs go over at a step without an id of its own.
pub fn mapped_by_place(files: &Files, journey: &Name, step: &Name, runs: u64) -> Finding {
    let message = format!(
        "step `{step}` of {journey}, where people stand ({runs}), has no id of its own: it is matched by its place, whatever stands there now"
    );
    let remedy = "give steps at which people wait an `id`, and look at the plan before publishing";
    let found = finding(files, journey, message, remedy.to_owned());
    Finding { rule: "mapped-by-place", severity: Severity::Warning, ..found }
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
