//! JSON Schemas of the files, for editors that complete and check while one types.
//!
//! The lint knows more; the schemas refuse nothing that it takes.

/// sojourn.yaml
pub const SOJOURN: &str = include_str!("../schemas/sojourn.json");
/// tracking-plan.yaml
pub const TRACKING_PLAN: &str = include_str!("../schemas/tracking-plan.json");
/// policy.yaml
pub const POLICY: &str = include_str!("../schemas/policy.json");
/// segments.yaml
pub const SEGMENTS: &str = include_str!("../schemas/segments.json");
/// journeys/*.yaml
pub const JOURNEY: &str = include_str!("../schemas/journey.json");
/// `templates/<name>/<locale>.yaml`
pub const TEMPLATE: &str = include_str!("../schemas/template.json");
/// tests/*.yaml
pub const SCENARIO: &str = include_str!("../schemas/scenario.json");

/// The schema of the workspace file at `path`; `None`: it is no YAML file of a workspace.
pub fn of_file(path: &str) -> Option<&'static str> {
    Some(match path {
        "sojourn.yaml" => SOJOURN,
        "tracking-plan.yaml" => TRACKING_PLAN,
        "policy.yaml" => POLICY,
        "segments.yaml" => SEGMENTS,
        _ if path.starts_with("tests/") && path.ends_with(".yaml") => SCENARIO,
        _ if !crate::Files::is_workspace_file(path) || !path.ends_with(".yaml") => return None,
        _ if path.starts_with("journeys/") => JOURNEY,
        _ => TEMPLATE,
    })
}
