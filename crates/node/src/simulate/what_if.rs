//! `--what-if cap.weekly=3`: one number of the policy changed, for a rehearsal only.

use anyhow::{Context, Result, bail};
use sojourn_rules::{Definitions, duration};
use std::fmt;
use std::str::FromStr;

/// For help and error messages.
pub const WHAT_IF_FORMS: &str =
    "cap.ID=3, cap.ID=off, holdout.percent=10, arbitration.window=2h, quiet_hours=off";

/// One change to the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct WhatIf {
    text: String,
    change: Change,
}

#[derive(Debug, Clone, PartialEq)]
enum Change {
    /// `at_most` of a cap; `None`: the cap is gone.
    Cap(String, Option<u32>),
    HoldoutPercent(f64),
    ArbitrationWindow(sojourn_model::DurationMs),
    QuietHoursOff,
}

impl FromStr for WhatIf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{why}: write {WHAT_IF_FORMS}"));
        let Some((key, value)) = text.split_once('=') else {
            return wrong("it has no `=`");
        };
        let change = match (key.trim(), value.trim()) {
            ("holdout.percent", value) => match value.parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Change::HoldoutPercent(percent),
                _ => return wrong("the percentage is not between 0 and 100"),
            },
            ("arbitration.window", value) => match duration::parse(value) {
                Some(window) => Change::ArbitrationWindow(window),
                None => return wrong("the window is no duration"),
            },
            ("quiet_hours", "off") => Change::QuietHoursOff,
            ("quiet_hours", _) => return wrong("quiet hours can only be off"),
            (key, value) => match (key.strip_prefix("cap."), value, value.parse::<u32>()) {
                (Some(id), "off", _) => Change::Cap(id.to_owned(), None),
                (Some(id), _, Ok(at_most)) if at_most > 0 => {
                    Change::Cap(id.to_owned(), Some(at_most))
                }
                (Some(_), ..) => return wrong("a cap is a number of at least 1, or off"),
                (None, ..) => return wrong(&format!("`{key}` cannot be changed here")),
            },
        };
        Ok(Self { text: text.to_owned(), change })
    }
}

impl fmt::Display for WhatIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl WhatIf {
    /// Changes the policy of definitions that nothing runs on yet.
    pub fn apply(&self, definitions: &mut Definitions) -> Result<()> {
        let policy = &mut definitions.policy;
        match &self.change {
            Change::Cap(id, at_most) => {
                let Some(place) = policy.caps.iter().position(|cap| *cap.id == **id) else {
                    let names: Vec<_> = policy.caps.iter().map(|cap| &*cap.id).collect();
                    bail!("policy.yaml has no cap `{id}`: take one of {}", names.join(", "));
                };
                match at_most {
                    Some(at_most) => policy.caps[place].at_most = *at_most,
                    None => {
                        policy.caps.remove(place);
                    }
                }
            }
            Change::HoldoutPercent(percent) => {
                let holdout = policy.holdout.as_mut();
                holdout.context("policy.yaml has no `holdout`: add one to vary it")?.percent =
                    *percent;
            }
            Change::ArbitrationWindow(window) => policy.arbitration_window = *window,
            Change::QuietHoursOff => policy.quiet_hours.clear(),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_changed_says_what_can() {
        for good in ["cap.weekly=3", "cap.weekly=off", "holdout.percent=0", "quiet_hours=off"] {
            assert_eq!(good.parse::<WhatIf>().map(|one| one.to_string()), Ok(good.to_owned()));
        }
        for wrong in [
            "cap.weekly",
            "cap.weekly=0",
            "cap.weekly=x",
            "caps=3",
            "holdout.percent=101",
            "quiet_hours=22:00",
            "arbitration.window=soon",
        ] {
            let error = wrong.parse::<WhatIf>().unwrap_err();
            assert!(error.contains("cap.ID=3"), "{wrong}: {error}");
        }
    }
}
