//! Who does what among several processes of a role: places (partitions) are leased.
//!
//! A process is a *member* while it takes its turn at least once in a lease's length. The places are
//! shared out evenly: a member takes free ones up to its share, and who has more than its share when
//! somebody joins gives the surplus back. A place has one holder at any time of the server's clock; a
//! *grant* numbers its holdings, so that a member sees when it had lost a place in between.
//!
//! A lease tells who should work, not who may write: that is the epoch's part in the state store (see
//! `sojourn_ports::log`). Only where a second worker would do harm (two dispatchers of a partition)
//! the holder looks at its own clock: it counts the lease from *before* it asked, so its end comes to
//! the holder before it comes to the server. An emptied store forgets the leases: then two members may
//! hold one place until the older one takes its next turn.

use crate::client::Client;
use crate::script;
use std::sync::Arc;
use std::time::Duration;

/// The leases of a store.
#[derive(Clone)]
pub struct RedisLeases {
    client: Arc<Client>,
}

/// What a member says at its turn.
#[derive(Debug, Clone, Copy)]
pub struct LeaseTurn<'a> {
    /// Name of the role.
    pub role: &'a str,
    /// Name of the member: without blanks, and another one after each start.
    pub member: &'a str,
    /// How long it counts as alive after this turn.
    pub lease: Duration,
    /// Number of places, the same for every member.
    pub places: u16,
    /// Something for the others to read.
    pub note: &'a str,
    /// Places that it gives back.
    pub release: &'a [u16],
}

/// How things stand after a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseView {
    /// Places that each member should hold at most.
    pub share: u16,
    /// Places of this member, with the number of the grant.
    pub mine: Vec<(u16, u64)>,
    /// Every place that is held.
    pub places: Vec<Held>,
    /// Every member: name, end of the lease, note.
    pub members: Vec<(String, u64, String)>,
}

/// A place that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The place.
    pub place: u16,
    /// Who holds it.
    pub member: String,
    /// The end of the lease, in ms of the server's clock.
    pub until: u64,
    /// Number of the grant: greater for a later one of any place of the role.
    pub grant: u64,
}

type Answer = (String, Vec<String>, Vec<String>, Vec<String>);

impl RedisLeases {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Self { client }
    }

    fn keys(&self, role: &str) -> [String; 3] {
        let tag = format!("lease/{role}");
        ["places", "members", "grants"].map(|rest| self.client.key(&tag, rest))
    }

    /// Takes a turn: renews what is held, gives back, takes what is free up to the share.
    pub fn turn(&self, turn: &LeaseTurn<'_>) -> Result<LeaseView, String> {
        let (lease, places) = (turn.lease.as_millis().to_string(), turn.places.to_string());
        let release: Vec<String> = turn.release.iter().map(u16::to_string).collect();
        let mut args =
            vec![turn.member.as_bytes(), lease.as_bytes(), places.as_bytes(), turn.note.as_bytes()];
        args.extend(release.iter().map(|place| place.as_bytes()));
        let answer: Answer = self.client.run_again(&script::LEASE, &self.keys(turn.role), &args)?;
        parse(answer).ok_or_else(|| "the leases in the store are not readable".to_owned())
    }

    /// How things stand, for who is no member.
    pub fn look(&self, role: &str) -> Result<LeaseView, String> {
        let keys = self.keys(role);
        let now: (u64, u64) = self.client.ask(&redis::cmd("TIME"))?;
        let now = now.0 * 1_000 + now.1 / 1_000;
        let read =
            |key: &str| self.client.ask::<Vec<(String, String)>>(redis::cmd("HGETALL").arg(key));
        let mut view = LeaseView::default();
        for (place, stored) in read(&keys[0])? {
            let mut words = stored.split(' ');
            let mut next = || words.next().unwrap_or_default();
            let (member, until, grant) = (next().to_owned(), next().parse(), next().parse());
            if let (Ok(place), Ok(until), Ok(grant)) = (place.parse(), until, grant)
                && until > now
            {
                view.places.push(Held { place, member, until, grant });
            }
        }
        for (member, stored) in read(&keys[1])? {
            let (until, note) = stored.split_once(' ').unwrap_or((&stored, ""));
            if let Some(until) = until.parse().ok().filter(|until| *until > now) {
                view.members.push((member, until, note.to_owned()));
            }
        }
        view.places.sort_by_key(|held| held.place);
        view.members.sort();
        Ok(view)
    }

    /// Gives everything back and leaves the role.
    pub fn leave(&self, role: &str, member: &str) -> Result<(), String> {
        let keys = self.keys(role);
        let args = [member.as_bytes()];
        self.client.run_again::<Vec<String>>(&script::LEASE_LEAVE, &keys[..2], &args).map(drop)
    }
}

fn parse((share, mine, places, members): Answer) -> Option<LeaseView> {
    let mine = mine.chunks_exact(2).map(|one| Some((one[0].parse().ok()?, one[1].parse().ok()?)));
    let place = |one: &[String]| {
        let (place, until, grant) =
            (one[0].parse().ok()?, one[2].parse().ok()?, one[3].parse().ok()?);
        Some(Held { place, member: one[1].clone(), until, grant })
    };
    let member = |one: &[String]| Some((one[0].clone(), one[1].parse().ok()?, one[2].clone()));
    Some(LeaseView {
        share: share.parse().ok()?,
        mine: mine.collect::<Option<_>>()?,
        places: places.chunks_exact(4).map(place).collect::<Option<_>>()?,
        members: members.chunks_exact(3).map(member).collect::<Option<_>>()?,
    })
}
