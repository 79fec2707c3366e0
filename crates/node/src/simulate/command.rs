//! Commands as JSON: lines of a `simulate` file, and what the command line orders over gRPC.

use anyhow::{Result, bail};
use serde::Deserialize;
use sojourn_model::{Command, KillTarget, Name, Transition};
use std::collections::BTreeMap;

/// `{"type":"command","receivedAt":…,"command":"pause",…}`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandLine {
    /// `command` in a file.
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    /// Log time in a file.
    #[serde(rename = "receivedAt", default)]
    pub received_at: Option<String>,
    /// What to do.
    pub command: String,
    /// A journey.
    #[serde(default)]
    pub journey: Option<String>,
    /// A channel.
    #[serde(default)]
    pub channel: Option<String>,
    /// A class: a purpose.
    #[serde(default)]
    pub class: Option<String>,
    /// A person: `email:a@b.c`, or a profile id.
    #[serde(default)]
    pub person: Option<String>,
    /// Instance key of the run that `enter` begins.
    #[serde(default)]
    pub key: Option<String>,
    /// A folder of definitions.
    #[serde(default)]
    pub dir: Option<String>,
    /// What becomes of the people inside when definitions are published: drain, migrate or stop.
    #[serde(default)]
    pub mode: Option<String>,
    /// Journeys with a mode of their own.
    #[serde(default)]
    pub modes: BTreeMap<String, String>,
    /// Steps that have another id in the new version: `old` or `journey:old` to the new id.
    #[serde(default)]
    pub maps: BTreeMap<String, String>,
    /// An endpoint.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Ignored; files may number their lines.
    #[serde(rename = "messageId", default)]
    pub message_id: Option<String>,
}

/// What a line orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// To everyone.
    All(Command),
    /// To one person, named as written.
    Person(String, Command),
    /// Publish the definitions in a folder.
    Publish(String, Transition),
}

impl CommandLine {
    /// Reads one JSON object.
    pub fn parse(json: &str) -> Result<Self> {
        Ok(serde_json::from_str(json)?)
    }

    /// What it orders; the error names the missing member.
    pub fn order(&self) -> Result<Order> {
        let need = |what: &str, value: &Option<String>| match value {
            Some(value) if !value.is_empty() => Ok(Name::from(value.as_str())),
            _ => bail!("command `{}` needs `{what}`", self.command),
        };
        let journey = || need("journey", &self.journey);
        let person =
            |command| Ok(Order::Person(need("person", &self.person)?.to_string(), command));
        Ok(match self.command.as_str() {
            "pause" => Order::All(Command::Pause { journey: journey()? }),
            "resume" => Order::All(Command::Resume { journey: journey()? }),
            "stop" => Order::All(Command::Stop { journey: journey()? }),
            "kill" => Order::All(Command::Kill { target: self.target() }),
            "release" => Order::All(Command::Release { target: self.target() }),
            "publish" => {
                let mode = self.mode.as_deref().unwrap_or_default();
                let transition = crate::transition::read(mode, &self.modes, &self.maps)?;
                Order::Publish(need("dir", &self.dir)?.to_string(), transition)
            }
            "erase" => return person(Command::Erase),
            "unmerge" => return person(Command::Unmerge),
            "enter" => {
                let key = self.key.as_deref().filter(|key| !key.is_empty()).map(Name::from);
                return person(Command::Enter { journey: journey()?, key });
            }
            "unsuppress" => {
                return person(Command::Unsuppress {
                    channel: need("channel", &self.channel).unwrap_or_else(|_| "email".into()),
                    endpoint: self.endpoint.as_deref().map(Name::from),
                    reason: self.reason.as_deref().unwrap_or("not stated").into(),
                });
            }
            other => bail!(
                "unknown command `{other}`: use pause, resume, stop, kill, release, publish, erase, unmerge, enter or unsuppress"
            ),
        })
    }

    fn target(&self) -> KillTarget {
        let all = |name: &str| name == "all";
        match (&self.journey, &self.channel, &self.class) {
            (Some(journey), _, _) => KillTarget::Journey(journey.as_str().into()),
            (_, Some(channel), _) if !all(channel) => KillTarget::Channel(channel.as_str().into()),
            (_, _, Some(class)) if !all(class) => KillTarget::Class(class.as_str().into()),
            _ => KillTarget::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_what_they_lack() {
        let order = |json: &str| CommandLine::parse(json).and_then(|line| line.order());
        assert_eq!(
            order(r#"{"command":"kill","class":"marketing"}"#).unwrap(),
            Order::All(Command::Kill { target: KillTarget::Class("marketing".into()) })
        );
        assert_eq!(
            order(r#"{"command":"kill"}"#).unwrap(),
            Order::All(Command::Kill { target: KillTarget::All })
        );
        let error = order(r#"{"command":"pause"}"#).unwrap_err().to_string();
        assert_eq!(error, "command `pause` needs `journey`");
        let publish =
            |mode: &str| order(&format!(r#"{{"command":"publish","dir":"b","mode":"{mode}"}}"#));
        assert_eq!(publish("drain").unwrap(), Order::Publish("b".into(), Transition::default()));
        let migrate = Transition::all(sojourn_model::Existing::Migrate);
        assert_eq!(publish("migrate").unwrap(), Order::Publish("b".into(), migrate));
        let error = publish("drian").unwrap_err().to_string();
        assert_eq!(error, "there is no mode `drian`: use drain, migrate or stop");
        assert!(order(r#"{"command":"dance"}"#).is_err());
        assert!(order(r#"{"command":"pause","jurney":"x"}"#).is_err());
    }
}
