//! Which partitions of a role are this process's work.
//!
//! On embedded storage all of them, for ever. On shared storage they are leased: a thread per role
//! takes its turn at the store, and the role's threads ask [`Tenure::wanted`] what to work on. A role
//! tells when it has begun and when it has let go of a partition; only what it has let go of is given
//! back.

use parking_lot::{Condvar, Mutex};
use sojourn_redis::{LeaseTurn, LeaseView, RedisLeases};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Turns in a lease: so many may fail before it is over.
const TURNS: u32 = 6;
/// Part of a lease that the holder keeps as a margin: at that distance from its end it stops.
const MARGIN: u32 = 4;

/// The partitions of one role in this process.
pub(crate) struct Tenure {
    role: &'static str,
    places: u16,
    state: Mutex<State>,
    /// Rung when a partition has been let go of, or at the end.
    changed: Condvar,
    /// This process's name among the members.
    member: OnceLock<String>,
}

#[derive(Default)]
struct State {
    /// What to work on, with the number of the grant.
    granted: BTreeMap<u16, u64>,
    /// Of these, what is to be given back.
    surplus: BTreeSet<u16>,
    working: BTreeSet<u16>,
    leased: bool,
    /// When the lease is over for its holder; `None`: it has none.
    until: Option<Instant>,
    view: LeaseView,
    note: String,
    failed: Option<String>,
    left: bool,
}

#[expect(clippy::disallowed_methods, reason = "a lease is counted in real time")]
fn now() -> Instant {
    Instant::now()
}

impl Tenure {
    /// All partitions, for ever.
    pub(crate) fn everything(role: &'static str, places: u16) -> Arc<Self> {
        let granted = (0..places).map(|place| (place, 0)).collect();
        Self::with(role, places, State { granted, ..State::default() })
    }

    /// What the store grants; nothing before the first turn.
    pub(crate) fn leased(role: &'static str, places: u16) -> Arc<Self> {
        Self::with(role, places, State { leased: true, ..State::default() })
    }

    fn with(role: &'static str, places: u16, state: State) -> Arc<Self> {
        let (state, member) = (Mutex::new(state), OnceLock::new());
        Arc::new(Self { role, places, state, changed: Condvar::new(), member })
    }

    /// Name of the role.
    pub(crate) fn role(&self) -> &'static str {
        self.role
    }

    /// What to work on now: partition and grant. A partition whose grant has changed was somebody
    /// else's in between.
    pub(crate) fn wanted(&self) -> BTreeMap<u16, u64> {
        let state = self.state.lock();
        if !state.holds() {
            return BTreeMap::new();
        }
        let stays = |place: &u16| !state.surplus.contains(place);
        state.granted.iter().filter(|(place, _)| stays(place)).map(|(p, g)| (*p, *g)).collect()
    }

    /// Whether the lease holds, with time to spare.
    pub(crate) fn holds(&self) -> bool {
        self.state.lock().holds()
    }

    /// The role works on a partition from now on; false: it is not this process's any more.
    pub(crate) fn begin(&self, place: u16, grant: u64) -> bool {
        let mut state = self.state.lock();
        let mine = state.granted.get(&place) == Some(&grant) && !state.surplus.contains(&place);
        if mine {
            state.working.insert(place);
        }
        mine
    }

    /// Whether the lease of all these holds, with time to spare.
    pub(crate) fn keeps(&self, held: &BTreeMap<u16, u64>) -> bool {
        let state = self.state.lock();
        state.holds() && held.iter().all(|(place, grant)| state.granted.get(place) == Some(grant))
    }

    /// Whether other processes share the role.
    pub(crate) fn is_leased(&self) -> bool {
        self.state.lock().leased
    }

    /// The end of this member's lease in a view, by the store's clock.
    pub(crate) fn until(&self, view: &LeaseView) -> u64 {
        let member = self.member.get().map_or("", |name| name);
        view.members.iter().find(|(name, ..)| name == member).map_or(0, |(_, until, _)| *until)
    }

    /// The role has let go of a partition.
    pub(crate) fn ended(&self, place: u16) {
        self.state.lock().working.remove(&place);
        self.changed.notify_all();
    }

    /// Whether it is known what this process has to do, and why not.
    pub(crate) fn standing(&self) -> Result<(), String> {
        let state = self.state.lock();
        match &state.failed {
            Some(reason) => Err(format!("the leases cannot be renewed: {reason}")),
            None if state.leased && state.until.is_none() => Err("waiting for a lease".to_owned()),
            None => Ok(()),
        }
    }

    /// Something for the other members to read.
    pub(crate) fn say(&self, note: String) {
        self.state.lock().note = note;
    }

    /// Who holds what, as of the last turn.
    pub(crate) fn view(&self) -> LeaseView {
        self.state.lock().view.clone()
    }

    /// The role's threads have ended: gives everything back.
    pub(crate) fn leave(&self) {
        self.state.lock().left = true;
        self.changed.notify_all();
    }

    /// Takes turns until [`Tenure::leave`].
    pub(crate) fn tend(&self, leases: &RedisLeases, member: &str, lease: Duration) {
        let member = self.member.get_or_init(|| member.to_owned());
        loop {
            let (release, note) = {
                let state = self.state.lock();
                if state.left {
                    break;
                }
                let free = state.surplus.difference(&state.working);
                (free.copied().collect::<Vec<_>>(), state.note.clone())
            };
            let asked = now();
            let turn = LeaseTurn {
                role: self.role,
                member,
                lease,
                places: self.places,
                note: &note,
                release: &release,
            };
            let taken = leases.turn(&turn);
            let mut state = self.state.lock();
            match taken {
                Ok(view) => state.follow(view, asked + lease - lease / MARGIN),
                Err(reason) => {
                    tracing::warn!(role = self.role, reason, "a turn for the leases has failed");
                    state.failed = Some(reason);
                }
            }
            let more = |state: &State| {
                state.left || state.surplus.iter().any(|place| !state.working.contains(place))
            };
            if !more(&state) || state.failed.is_some() {
                self.changed.wait_for(&mut state, lease / TURNS);
            }
        }
        if let Err(reason) = leases.leave(self.role, member) {
            tracing::warn!(role = self.role, reason, "the leases end by themselves");
        }
    }
}

impl State {
    fn holds(&self) -> bool {
        !self.leased || self.until.is_some_and(|until| now() < until)
    }

    fn follow(&mut self, view: LeaseView, until: Instant) {
        self.granted = view.mine.iter().copied().collect();
        let share = usize::from(view.share);
        // The highest go first: every member decides alike, and the least moves.
        self.surplus = self.granted.keys().skip(share).copied().collect();
        self.until = Some(until);
        self.failed = None;
        self.view = view;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(mine: &[u16], share: u16) -> LeaseView {
        let mine = mine.iter().map(|place| (*place, u64::from(*place) + 1)).collect();
        LeaseView { share, mine, ..LeaseView::default() }
    }

    fn places(tenure: &Tenure) -> Vec<u16> {
        tenure.wanted().into_keys().collect()
    }

    #[test]
    fn surplus_is_not_worked_on_and_a_lease_that_is_over_is_none() {
        let all = Tenure::everything("engine", 3);
        assert_eq!((places(&all), all.standing()), (vec![0, 1, 2], Ok(())));
        let tenure = Tenure::leased("engine", 4);
        assert!(places(&tenure).is_empty() && tenure.standing().is_err() && !tenure.holds());
        let later = now() + Duration::from_secs(60);
        tenure.state.lock().follow(view(&[0, 1, 2, 3], 2), later);
        assert_eq!((places(&tenure), tenure.holds()), (vec![0, 1], true));
        let over = now();
        tenure.state.lock().follow(view(&[0, 1], 2), over);
        assert!(places(&tenure).is_empty() && !tenure.holds());
    }
}
