//! `${NAME}` in sojourn.yaml: kept as written, filled in when a program starts.

use crate::definitions::Workspace;
use crate::finding::{Finding, Severity};
use sojourn_model::Name;

/// The names in the `${NAME}` of `text`; `Err`: the first that is no name.
pub(crate) fn names_in(text: &str) -> Result<Vec<&str>, &str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let after = &rest[start + 2..];
        let Some(end) = after.find('}') else { return Err(&rest[start..]) };
        let name = &after[..end];
        let fits = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if !fits {
            return Err(&rest[start..start + 3 + end]);
        }
        names.push(name);
        rest = &after[end + 1..];
    }
    Ok(names)
}

/// Replaces every `${NAME}` in secrets and settings by what `lookup` gives for `NAME`.
///
/// A name without a value is an error that names key, file and line; all of them are reported.
pub fn resolve(
    workspace: &Workspace,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Workspace, Vec<Finding>> {
    let mut workspace = workspace.clone();
    let mut findings = Vec::new();
    let mut fill = |key: String, value: &mut Name, line: u32| match filled(value, lookup) {
        Ok(Some(text)) => *value = text.into(),
        Ok(None) => {}
        Err(name) => findings.push(Finding {
            severity: Severity::Error,
            rule: "missing-value",
            file: "sojourn.yaml".to_owned(),
            line,
            column: 1,
            message: format!("`{key}` needs the value of `{name}`, which is not set"),
            remedy: format!(
                "set {name} in the environment, or {name}_FILE to a file that holds it"
            ),
        }),
    };
    for source in &mut workspace.sources {
        for (key, (value, line)) in &mut source.secrets {
            fill(format!("sources.{}.{key}", source.id), value, *line);
        }
    }
    for (name, channel) in &mut workspace.channels {
        for (key, (value, line)) in &mut channel.settings {
            fill(format!("channels.{name}.{key}"), value, *line);
        }
    }
    for (key, (value, line)) in &mut workspace.storage.settings {
        fill(format!("storage.{key}"), value, *line);
    }
    for (key, (value, line)) in &mut workspace.settings {
        fill(key.to_string(), value, *line);
    }
    if let Some((path, _)) = workspace.storage.settings.get("path") {
        workspace.storage.path = path.clone();
    }
    if findings.is_empty() { Ok(workspace) } else { Err(findings) }
}

/// `Ok(None)`: there is nothing to fill in. `Err`: the first name without a value.
fn filled(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, String> {
    let names = names_in(text).map_err(str::to_owned)?;
    if names.is_empty() {
        return Ok(None);
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    for name in names {
        let value = lookup(name).ok_or_else(|| name.to_owned())?;
        let placeholder = format!("${{{name}}}");
        let start = rest.find(&placeholder).unwrap_or(0);
        result.push_str(&rest[..start]);
        result.push_str(&value);
        rest = &rest[start + placeholder.len()..];
    }
    result.push_str(rest);
    Ok(Some(result))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_names_and_reports_missing_ones() {
        let mut workspace = Workspace::default();
        workspace.settings.insert("public_url".into(), ("https://${HOST}:${PORT}/x".into(), 7));
        let values = |name: &str| match name {
            "HOST" => Some("a.example".to_owned()),
            "PORT" => Some("${HOST}".to_owned()),
            _ => None,
        };
        let resolved = resolve(&workspace, &values).expect("both have values");
        // A value is not looked into again.
        assert_eq!(&*resolved.settings["public_url"].0, "https://a.example:${HOST}/x");
        let missing = resolve(&workspace, &|_| None).expect_err("nothing has a value");
        assert_eq!((missing[0].line, missing[0].rule), (7, "missing-value"));
        assert!(missing[0].message.contains("public_url"), "{}", missing[0].message);
    }

    #[test]
    fn refuses_what_is_no_name() {
        assert_eq!(names_in("a${A_1}b${B}"), Ok(vec!["A_1", "B"]));
        assert_eq!(names_in("x"), Ok(vec![]));
        for text in ["${", "${}", "${a}", "${1A}", "${A B}"] {
            assert!(names_in(text).is_err(), "{text}");
        }
    }
}
