//! The sample workspaces, embedded: `init` and `demo` work without the project's files.

/// A sample workspace.
#[derive(Debug)]
pub(crate) struct Template {
    /// As `--template` takes it.
    pub(crate) name: &'static str,
    /// For the list.
    pub(crate) about: &'static str,
    /// Path and content; empty: not there yet.
    pub(crate) files: &'static [(&'static str, &'static str)],
}

macro_rules! embed {
    ($folder:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../templates/", $folder, "/", $path)))),*]
    };
}

/// Every sample, with those that interfaces.md promises and that are not there yet.
pub(crate) const ALL: [Template; 5] = [
    Template {
        name: "shop",
        about: "a bakery with a web shop, a shop with a till, e-mail and Instagram",
        files: SHOP,
    },
    Template { name: "cafe", about: "a café", files: &[] },
    Template { name: "salon", about: "a hair salon", files: &[] },
    Template { name: "gym", about: "a gym", files: &[] },
    Template { name: "courses", about: "a school for courses", files: &[] },
];

/// The sample shop.
pub(crate) const SHOP: &[(&str, &str)] = embed!["shop":
    "README.md",
    "journeys/abandoned-cart.yaml",
    "journeys/browse-interest.yaml",
    "journeys/loyalty-greeting.yaml",
    "journeys/order-confirmation.yaml",
    "journeys/post-purchase.yaml",
    "journeys/store-follow-up.yaml",
    "journeys/welcome.yaml",
    "journeys/win-back.yaml",
    "policy.yaml",
    "segments.yaml",
    "sojourn.yaml",
    "templates/browse-idea/en.txt",
    "templates/browse-idea/en.yaml",
    "templates/browse-idea/pl.txt",
    "templates/browse-idea/pl.yaml",
    "templates/cart-help/en.txt",
    "templates/cart-help/en.yaml",
    "templates/cart-help/pl.txt",
    "templates/cart-help/pl.yaml",
    "templates/cart-reminder/en.mjml",
    "templates/cart-reminder/en.yaml",
    "templates/cart-reminder/pl.mjml",
    "templates/cart-reminder/pl.yaml",
    "templates/feedback-request/en.txt",
    "templates/feedback-request/en.yaml",
    "templates/feedback-request/pl.txt",
    "templates/feedback-request/pl.yaml",
    "templates/loyalty-greeting/en.txt",
    "templates/loyalty-greeting/en.yaml",
    "templates/loyalty-greeting/pl.txt",
    "templates/loyalty-greeting/pl.yaml",
    "templates/order-confirmation/en.txt",
    "templates/order-confirmation/en.yaml",
    "templates/order-confirmation/pl.txt",
    "templates/order-confirmation/pl.yaml",
    "templates/store-follow-up/en.txt",
    "templates/store-follow-up/en.yaml",
    "templates/store-follow-up/pl.txt",
    "templates/store-follow-up/pl.yaml",
    "templates/welcome-second/en.txt",
    "templates/welcome-second/en.yaml",
    "templates/welcome-second/pl.txt",
    "templates/welcome-second/pl.yaml",
    "templates/welcome/en.html",
    "templates/welcome/en.yaml",
    "templates/welcome/pl.html",
    "templates/welcome/pl.yaml",
    "templates/win-back-last/en.txt",
    "templates/win-back-last/en.yaml",
    "templates/win-back-last/pl.txt",
    "templates/win-back-last/pl.yaml",
    "templates/win-back/en.mjml",
    "templates/win-back/en.yaml",
    "templates/win-back/pl.mjml",
    "templates/win-back/pl.yaml",
    "tracking-plan.yaml",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    fn files(template: &[(&str, &str)]) -> sojourn_rules::Files {
        let text = template.iter().filter(|(path, _)| !path.ends_with(".md"));
        let owned = text.map(|(path, content)| ((*path).to_owned(), (*content).to_owned()));
        sojourn_rules::Files(owned.collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        fn count(dir: &Path) -> usize {
            let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/shop");
        assert_eq!(count(&folder), SHOP.len());
    }

    #[test]
    fn the_samples_lint_clean() {
        for template in ALL.iter().filter(|template| !template.files.is_empty()) {
            let compiled = sojourn_rules::compile(&files(template.files));
            assert!(compiled.findings.is_empty(), "{}: {:#?}", template.name, compiled.findings);
            let definitions = compiled.definitions.expect("no findings, so definitions");
            assert!(definitions.journeys.len() >= 7);
        }
    }

    #[test]
    fn every_message_of_the_shop_comes_in_two_languages() {
        let definitions = sojourn_rules::compile(&files(SHOP)).definitions.unwrap();
        for template in definitions.templates.values() {
            let locales: Vec<_> = template.locales.keys().map(|locale| &**locale).collect();
            assert_eq!(locales, ["en", "pl"], "{}", template.name);
        }
    }
}
