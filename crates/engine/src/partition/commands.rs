//! Operators' commands: to all, or about one person.

use super::{At, Partition};
use crate::profile::Stored;
use crate::step::Registers;
use crate::{Effects, OwnedRecord};
use sojourn_model::{Command, LogPosition, ProfileId};
use std::collections::BTreeSet;

impl Partition {
    /// People whom a command to all concerns, beside those it reaches when they next come by.
    pub(super) fn reached_by(&self, command: &Command) -> BTreeSet<ProfileId> {
        let held = |registers: &Registers, journey: &str| {
            registers.held.get(journey).cloned().unwrap_or_default()
        };
        match command {
            Command::Resume { journey } => held(&self.registers, journey),
            // Whoever has nothing to fire has nothing that could go out before they come by.
            Command::Stop { journey } => {
                let mut people = self.wakes.everybody();
                people.extend(held(&self.registers, journey));
                people
            }
            _ => BTreeSet::new(),
        }
    }

    pub(super) fn command(
        &mut self,
        position: LogPosition,
        command: &Command,
        effects: &mut Effects,
    ) {
        let now = self.now;
        let at = At { position, offset: position.offset, now };
        let people = self.reached_by(command);
        let controls = &mut self.shared.controls;
        match command {
            Command::Pause { journey } => {
                controls.paused.insert(journey.clone());
            }
            Command::Resume { journey } => {
                controls.paused.remove(journey);
                controls.closed.remove(journey);
                self.registers.held.remove(journey);
                for id in people {
                    self.with(id, at, effects, |step| {
                        step.resume(journey);
                        step.settle();
                    });
                }
            }
            Command::Stop { journey } => {
                controls.stopped.insert(journey.clone(), now);
                controls.closed.insert(journey.clone());
                self.registers.held.remove(journey);
                for id in people {
                    self.with(id, at, effects, |step| {
                        step.end_stopped();
                    });
                }
            }
            Command::Kill { target } => {
                controls.kills.insert(target.clone());
            }
            Command::Release { target } => {
                controls.kills.remove(target);
            }
            // About one person, or for the audit log alone.
            Command::Erase
            | Command::Unmerge
            | Command::Unsuppress { .. }
            | Command::Enter { .. }
            | Command::Audit { .. } => {}
        }
    }

    pub(super) fn person_command(
        &mut self,
        id: ProfileId,
        command: &Command,
        at: At,
        effects: &mut Effects,
    ) {
        match command {
            Command::Erase => {
                self.with(id, at, effects, |step| step.erase());
                self.forget_registers(id);
                self.replace(id, Stored::Erased);
            }
            Command::Enter { journey, key } => {
                self.with(id, at, effects, |step| {
                    step.end_stopped();
                    step.enter_ordered(journey, key.as_ref());
                    step.settle();
                });
            }
            Command::Unmerge => {
                let undone = self.with(id, at, effects, |step| step.unmerge());
                if let Some(Some((undo, theirs))) = undone {
                    let state = crate::codec::encode(&theirs);
                    let record = OwnedRecord::Absorb { id: undo.id, from: id, state };
                    Self::forward(effects, undo.from, Some(record));
                }
            }
            Command::Unsuppress { channel, endpoint, .. } => {
                let installed = self.shared.current.as_deref();
                let normal = |raw| crate::consent::normal_endpoint(channel, raw, installed);
                let endpoint = endpoint.as_deref().map(normal);
                self.with(id, at, effects, |step| {
                    let suppressions = &mut step.profile.suppressions;
                    let freed = suppressions.lift(channel, endpoint.as_deref(), None, at.now);
                    step.lifted(channel, freed);
                });
            }
            // To all people; addressed to one they mean nothing.
            _ => {}
        }
    }

    /// Takes a person out of the partition's registers.
    pub(super) fn forget_registers(&mut self, id: ProfileId) {
        for people in self.registers.held.values_mut() {
            people.remove(&id);
        }
        self.registers.held.retain(|_, people| !people.is_empty());
    }
}
