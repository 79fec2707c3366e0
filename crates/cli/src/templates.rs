//! The sample workspaces, embedded: `init` and `demo` work without the project's files.

/// A sample workspace.
#[derive(Debug)]
pub(crate) struct Template {
    /// As `--template` takes it.
    pub(crate) name: &'static str,
    /// For the list.
    pub(crate) about: &'static str,
    /// Path and content.
    pub(crate) files: &'static [(&'static str, &'static str)],
}

include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// Every sample.
pub(crate) const ALL: [Template; 5] = [
    Template {
        name: "shop",
        about: "a bakery with a web shop, a shop with a till, e-mail and Instagram",
        files: SHOP,
    },
    Template {
        name: "cafe",
        about: "a café with a loyalty card, a till and a newsletter",
        files: CAFE,
    },
    Template {
        name: "salon",
        about: "a hair and spa salon with a diary of appointments",
        files: SALON,
    },
    Template {
        name: "gym",
        about: "a gym with classes, an app and a door that knows its members",
        files: GYM,
    },
    Template {
        name: "courses",
        about: "an online school with lessons and a teacher who answers",
        files: COURSES,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    /// The scenarios of a template, or the files that are published.
    fn files(template: &[(&str, &str)], scenarios: bool) -> sojourn_rules::Files {
        let chosen = template.iter().filter(|(path, _)| {
            sojourn_rules::Files::is_workspace_file(path) || scenarios && path.starts_with("tests/")
        });
        let owned = chosen.map(|(path, content)| ((*path).to_owned(), (*content).to_owned()));
        sojourn_rules::Files(owned.collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn the_samples_lint_clean() {
        for template in &ALL {
            let compiled = sojourn_rules::compile(&files(template.files, false));
            assert!(compiled.findings.is_empty(), "{}: {:#?}", template.name, compiled.findings);
            let definitions = compiled.definitions.expect("no findings, so definitions");
            assert!(definitions.journeys.len() >= 3, "{}", template.name);
        }
    }

    #[test]
    fn every_message_comes_in_two_languages() {
        for sample in &ALL {
            let definitions =
                sojourn_rules::compile(&files(sample.files, false)).definitions.unwrap();
            for template in definitions.templates.values() {
                let locales: Vec<_> = template.locales.keys().map(|locale| &**locale).collect();
                assert_eq!(locales, ["en", "pl"], "{}: {}", sample.name, template.name);
            }
        }
    }

    #[test]
    fn every_journey_has_a_scenario_and_every_scenario_holds() {
        for sample in &ALL {
            let definitions =
                sojourn_rules::compile(&files(sample.files, false)).definitions.unwrap();
            let scenarios = sojourn_node::rehearse::read(&files(sample.files, true), &definitions)
                .unwrap_or_else(|findings| panic!("{}: {findings:#?}", sample.name));
            for journey in &definitions.journeys {
                assert!(
                    scenarios.iter().any(|one| one
                        .journeys
                        .iter()
                        .any(|name| **name == *journey.name)
                        && !one.expect.is_empty()),
                    "{}: nothing shows that {} sends",
                    sample.name,
                    journey.name
                );
            }
            for scenario in &scenarios {
                let verdict = sojourn_node::rehearse::run(scenario, &definitions, Path::new("."));
                assert!(verdict.passed, "{}: {verdict:#?}", sample.name);
            }
        }
    }
}
