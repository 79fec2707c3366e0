//! The resolver without log and graph, for `simulate` and tests; and what a resolution tells the
//! engine, for both.

use crate::commands;
use crate::nodes::Nodes;
use crate::resolve::{Context, Outcome, Refusal, Resolution, resolve};
use crate::rules::IdentityRules;
use sojourn_model::{Identifier, LogPosition, ProfileId, Record, Timestamp, Touchpoint};
use sojourn_proto::TouchpointRecord;

/// A record for the partition that owns `to`.
#[derive(Debug, Clone)]
pub struct Addressed<'a> {
    /// Its addressee.
    pub to: ProfileId,
    /// The record.
    pub record: Record<'a>,
}

impl Resolution {
    /// What goes before the touchpoint itself, in order: identifiers released, then each union as
    /// `Merge` to the absorbed and `Await` to the surviving profile.
    pub fn precursors(&self) -> impl Iterator<Item = Addressed<'static>> + '_ {
        let moves = self.moves.iter().map(|moved| Addressed {
            to: moved.from,
            record: Record::Release {
                profile: moved.from,
                to: moved.to,
                identifier: moved.identifier.clone(),
            },
        });
        let unions = self.unions.iter().flat_map(|union| {
            let (id, from, into) = (union.id, union.from, union.into);
            [
                Addressed { to: from, record: Record::Merge { id, from, into } },
                Addressed { to: into, record: Record::Await { id, into, from } },
            ]
        });
        moves.chain(unions)
    }

    /// The touchpoint as its person gets it: with the identifiers that speak for them.
    pub fn forwarded<'a>(&self, touchpoint: &Touchpoint<'a>) -> Touchpoint<'a> {
        let mut forwarded = touchpoint.clone();
        if let Some(identifiers) = &self.identifiers {
            forwarded.identifiers.clone_from(identifiers);
        }
        forwarded
    }
}

/// Identity in memory.
pub struct Resolver {
    rules: IdentityRules,
    nodes: Nodes,
    resolution: Resolution,
}

impl Resolver {
    /// Knows nobody.
    pub fn new(rules: IdentityRules) -> Self {
        Self { rules, nodes: Nodes::in_memory(), resolution: Resolution::default() }
    }

    /// Other rules from here on (a publication).
    pub fn set_rules(&mut self, rules: IdentityRules) {
        self.rules = rules;
    }

    /// Resolves one record and appends what the engine must get to `out`, in order.
    ///
    /// For a command the outcome is its person; `Nobody` when there is no such person.
    pub fn apply<'a>(
        &mut self,
        position: LogPosition,
        log_time: Timestamp,
        record: &TouchpointRecord<'a>,
        out: &mut Vec<Addressed<'a>>,
    ) -> Outcome {
        const MEMORY: &str = "nodes in memory are always there";
        let LogPosition { partition: shard, offset } = position;
        let context = Context { rules: &self.rules, shard, offset, log_time };
        match record {
            TouchpointRecord::Touchpoint(touchpoint) => {
                resolve(&mut self.nodes, context, touchpoint, &mut self.resolution).expect(MEMORY);
                if let Outcome::Person(profile) = self.resolution.outcome {
                    for addressed in self.resolution.precursors() {
                        out.push(addressed);
                    }
                    let touchpoint = self.resolution.forwarded(touchpoint);
                    let record = Record::Touchpoint { profile, touchpoint };
                    out.push(Addressed { to: profile, record });
                }
                self.resolution.outcome
            }
            TouchpointRecord::Command(command) => {
                self.resolution.refusals.clear();
                match commands::command(&mut self.nodes, context, command).expect(MEMORY) {
                    Some(profile) => {
                        let command = command.command.clone();
                        let record = Record::PersonCommand { profile, command };
                        out.push(Addressed { to: profile, record });
                        Outcome::Person(profile)
                    }
                    None => Outcome::Nobody,
                }
            }
        }
    }

    /// What the last touchpoint was refused.
    pub fn refusals(&self) -> &[Refusal] {
        &self.resolution.refusals
    }

    /// The person who holds an identifier now.
    pub fn find(&mut self, identifier: &Identifier) -> Option<ProfileId> {
        let profile = self.nodes.identifier(identifier).ok()??.profile;
        self.nodes.canonical(profile).ok()
    }

    /// The profile that `profile` has become by merges.
    pub fn canonical(&mut self, profile: ProfileId) -> ProfileId {
        self.nodes.canonical(profile).unwrap_or(profile)
    }
}
