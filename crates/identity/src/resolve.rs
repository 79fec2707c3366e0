//! Which person a touchpoint belongs to, and what it teaches about people (semantics 2).
//!
//! Why order does not matter (IDN-1): without a conflict of customer ids the partition is the
//! connected components of "stood on one touchpoint", whatever the order. With one, an identifier
//! that was ever claimed (stood on a touchpoint with a customer id) ends with the customer of its
//! newest claim: every claim is compared with the newest known by `(occurred_at, message id)`, the
//! holder always has the claiming customer id, and a claimed identifier leaves its holder only by a
//! newer claim or together with the whole profile. Outside of that, as the semantics says: what a
//! limit refused, and unclaimed identifiers that touch a contested one.

use crate::limits;
use crate::node::{Absorbed, Claim, IdentifierNode, ProfileNode, Seen, carried_bit, message_hash};
use crate::nodes::Nodes;
use crate::planted::{Mutation, planted};
use crate::rules::IdentityRules;
use smallvec::SmallVec;
use sojourn_model::{
    Identifier, IdentifierKind, MergeId, ProfileId, Timestamp, Touchpoint, event_names,
};
use sojourn_ports::GraphError;

/// Where the touchpoint stands.
#[derive(Debug, Clone, Copy)]
pub struct Context<'r> {
    /// Rules of the workspace.
    pub rules: &'r IdentityRules,
    /// Shard.
    pub shard: u16,
    /// Offset in the shard.
    pub offset: u64,
    /// Log time of the record.
    pub log_time: Timestamp,
}

impl Context<'_> {
    /// The record's place as one number; also the id of the profile that it creates.
    pub(crate) fn place(&self) -> u64 {
        ProfileId::created_at(self.shard, self.offset).0
    }
}

/// Whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// Nobody's: no usable identifier.
    #[default]
    Nobody,
    /// Its message id was seen: it does nothing at all.
    Duplicate,
    /// It occurred before its person was erased: it does nothing at all (ERA-1).
    Erased,
    /// This person's.
    Person(ProfileId),
}

/// An identifier that went from one person to another by a newer claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// What moved.
    pub identifier: Identifier,
    /// Who lost it.
    pub from: ProfileId,
    /// Who gained it.
    pub to: ProfileId,
}

/// Two persons became one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Union {
    /// Names it.
    pub id: MergeId,
    /// The absorbed profile.
    pub from: ProfileId,
    /// The survivor: the older one, ties by id.
    pub into: ProfileId,
}

/// Something a rule refused; kept with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub kind: RefusalKind,
    /// Kind of the identifier it concerns.
    pub identifier: IdentifierKind,
}

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The profile holds as many identifiers of the kind as it may.
    IdentifierLimit,
    /// The union would hold more identifiers of the kind than it may.
    MergeLimit,
    /// `alias` of two different customer ids.
    AliasOfCustomers,
    /// More identifiers than a touchpoint may carry.
    TooMany,
    /// A second customer id on one touchpoint.
    SecondCustomer,
}

impl RefusalKind {
    /// As dead letters and metrics say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdentifierLimit => "identifier_limit",
            Self::MergeLimit => "merge_limit",
            Self::AliasOfCustomers => "alias_of_customers",
            Self::TooMany => "too_many_identifiers",
            Self::SecondCustomer => "second_customer_id",
        }
    }
}

/// What one touchpoint came to. Reused from touchpoint to touchpoint.
#[derive(Debug, Default)]
pub struct Resolution {
    /// Whose it is.
    pub outcome: Outcome,
    /// Whether it created that profile.
    pub created: bool,
    /// Identifiers that moved, in order.
    pub moves: Vec<Move>,
    /// Unions, in order.
    pub unions: Vec<Union>,
    /// Refusals.
    pub refusals: Vec<Refusal>,
    /// The identifiers that speak for the person: to be kept on the forwarded touchpoint. `None`:
    /// exactly those it carries.
    pub identifiers: Option<Vec<Identifier>>,
}

impl Resolution {
    fn clear(&mut self) {
        self.outcome = Outcome::Nobody;
        self.created = false;
        self.moves.clear();
        self.unions.clear();
        self.refusals.clear();
        self.identifiers = None;
    }
    fn refuse(&mut self, kind: RefusalKind, identifier: &IdentifierKind) {
        self.refusals.push(Refusal { kind, identifier: identifier.clone() });
    }
}

/// One usable identifier of the touchpoint.
struct Usable {
    identifier: Identifier,
    /// Who holds it.
    holder: Option<ProfileId>,
    /// Erasure of an earlier holder, for a node yet to be written.
    erased_until: Option<Timestamp>,
    /// It does not speak for the touchpoint's person.
    ignored: bool,
}

type UsableList = SmallVec<[Usable; 4]>;

/// Resolves one touchpoint: reads and changes `nodes`, and says what to tell the engine.
///
/// Deterministic in the nodes, the rules and the touchpoint (DET-1).
pub fn resolve(
    nodes: &mut Nodes,
    context: Context<'_>,
    touchpoint: &Touchpoint<'_>,
    out: &mut Resolution,
) -> Result<(), GraphError> {
    out.clear();
    let hash = message_hash(touchpoint.source, touchpoint.message_id);
    if let Some(profile) = touchpoint.profile {
        let target = nodes.canonical(profile)?;
        out.outcome = Outcome::Person(target);
        if seen(nodes, context, target, hash)? == Before::Other {
            out.outcome = Outcome::Duplicate;
            return Ok(());
        }
        return remember(nodes, context, target, hash, 0);
    }
    let mut usable = usable(context.rules, touchpoint, out);
    if touchpoint.event == event_names::ALIASED {
        add_alias(nodes, context.rules, touchpoint, &mut usable, out)?;
    }
    if usable.is_empty() {
        return Ok(());
    }
    if planted(Mutation::UnionForgotten) {
        usable.truncate(1);
    }
    let occurred = touchpoint.occurred_at.unwrap_or(context.log_time).min(context.log_time);
    if look_up(nodes, context, occurred, &mut usable)? {
        out.outcome = Outcome::Erased;
        return Ok(());
    }
    if known_message(nodes, context, hash, &usable)? && !planted(Mutation::DuplicateCounts) {
        out.outcome = Outcome::Duplicate;
        return Ok(());
    }
    let target = decide(nodes, context, touchpoint, occurred, &mut usable, out)?;
    out.outcome = Outcome::Person(target);
    let carried = usable.iter().fold(0, |bits, usable| bits | carried_bit(&usable.identifier));
    remember(nodes, context, target, hash, carried)?;

    let kept = usable.iter().filter(|usable| !usable.ignored);
    let same = kept.clone().map(|usable| &usable.identifier).eq(&touchpoint.identifiers);
    out.identifiers = (!same).then(|| kept.map(|usable| usable.identifier.clone()).collect());
    Ok(())
}

/// The usable identifiers, strongest first, each once.
fn usable(rules: &IdentityRules, touchpoint: &Touchpoint<'_>, out: &mut Resolution) -> UsableList {
    let mut list = UsableList::new();
    for identifier in &touchpoint.identifiers {
        if !rules.usable(touchpoint.source, identifier)
            || list.iter().any(|known| known.identifier == *identifier)
        {
            continue;
        }
        let customer = identifier.kind == IdentifierKind::CustomerId;
        if customer && list.iter().any(|known| known.identifier.kind == identifier.kind) {
            out.refuse(RefusalKind::SecondCustomer, &identifier.kind);
        } else if list.len() == limits::IDENTIFIERS_MAX {
            out.refuse(RefusalKind::TooMany, &identifier.kind);
        } else {
            list.push(Usable::new(identifier.clone()));
        }
    }
    if !list.is_sorted_by(|a, b| a.identifier.kind <= b.identifier.kind) {
        list.sort_by(|a, b| a.identifier.kind.cmp(&b.identifier.kind));
    }
    list
}

impl Usable {
    fn new(identifier: Identifier) -> Self {
        Self { identifier, holder: None, erased_until: None, ignored: false }
    }
}

/// `alias`: its `previous_id` is of the kind under which the value is known, else `anonymous_id`.
fn add_alias(
    nodes: &mut Nodes,
    rules: &IdentityRules,
    touchpoint: &Touchpoint<'_>,
    usable: &mut UsableList,
    out: &mut Resolution,
) -> Result<(), GraphError> {
    #[derive(serde::Deserialize)]
    struct Properties {
        previous_id: Option<String>,
    }
    let previous = serde_json::from_str::<Properties>(touchpoint.properties)
        .ok()
        .and_then(|properties| properties.previous_id);
    let Some(previous) = previous.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    const KINDS: [IdentifierKind; 6] = [
        IdentifierKind::CustomerId,
        IdentifierKind::Email,
        IdentifierKind::Phone,
        IdentifierKind::LoyaltyId,
        IdentifierKind::AnonymousId,
        IdentifierKind::DeviceId,
    ];
    let mut found = Identifier::new(IdentifierKind::AnonymousId, previous);
    for kind in KINDS {
        let Some(candidate) = rules.normalizer.identifier(&kind, previous) else { continue };
        if nodes.identifier(&candidate)?.is_some() {
            found = candidate;
            break;
        }
    }
    if !rules.usable(touchpoint.source, &found)
        || usable.iter().any(|known| known.identifier == found)
    {
        return Ok(());
    }
    let two_customers = found.kind == IdentifierKind::CustomerId
        && usable.iter().any(|known| known.identifier.kind == IdentifierKind::CustomerId);
    if two_customers {
        out.refuse(RefusalKind::AliasOfCustomers, &found.kind);
        return Ok(());
    }
    let place = usable.partition_point(|known| known.identifier.kind <= found.kind);
    usable.insert(place, Usable::new(found));
    Ok(())
}

/// Finds the holders. True when the touchpoint belongs to somebody who was erased after it.
fn look_up(
    nodes: &mut Nodes,
    context: Context<'_>,
    occurred: Timestamp,
    usable: &mut UsableList,
) -> Result<bool, GraphError> {
    for usable in usable {
        match nodes.identifier(&usable.identifier)? {
            Some(node) => {
                let profile = node.profile;
                usable.erased_until = node.erased_until;
                usable.holder = Some(nodes.canonical(profile)?);
            }
            None => {
                usable.erased_until = nodes.tombstone(&context.rules.salt, &usable.identifier)?;
            }
        }
        if usable.erased_until.is_some_and(|erased| occurred <= erased) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[derive(PartialEq, Eq)]
enum Before {
    /// Never seen.
    Never,
    /// This very record: a replay, not a duplicate.
    Itself,
    /// Another record.
    Other,
}

fn seen(
    nodes: &mut Nodes,
    context: Context<'_>,
    profile: ProfileId,
    hash: u64,
) -> Result<Before, GraphError> {
    let not_before = context.log_time.minus(context.rules.horizon);
    Ok(match nodes.person(profile)?.activity.find(hash, not_before) {
        None => Before::Never,
        Some(seen) if seen.place == context.place() => Before::Itself,
        Some(_) => Before::Other,
    })
}

/// Whether one of the persons behind the identifiers has had this message id.
fn known_message(
    nodes: &mut Nodes,
    context: Context<'_>,
    hash: u64,
    usable: &UsableList,
) -> Result<bool, GraphError> {
    let mut last = None;
    for holder in usable.iter().filter_map(|usable| usable.holder) {
        if last != Some(holder) && seen(nodes, context, holder, hash)? == Before::Other {
            return Ok(true);
        }
        last = Some(holder);
    }
    Ok(false)
}

fn remember(
    nodes: &mut Nodes,
    context: Context<'_>,
    profile: ProfileId,
    hash: u64,
    carried: u64,
) -> Result<(), GraphError> {
    if seen(nodes, context, profile, hash)? == Before::Never {
        let not_before = context.log_time.minus(context.rules.horizon);
        let seen = Seen { hash, place: context.place(), at: context.log_time, carried };
        nodes.activity_mut(profile)?.remember(seen, not_before);
    }
    Ok(())
}

/// Unions, moves, attaches; gives the person.
fn decide(
    nodes: &mut Nodes,
    context: Context<'_>,
    touchpoint: &Touchpoint<'_>,
    occurred: Timestamp,
    usable: &mut UsableList,
    out: &mut Resolution,
) -> Result<ProfileId, GraphError> {
    let first = usable.iter().find_map(|usable| usable.holder);
    let claims = usable[0].identifier.kind == IdentifierKind::CustomerId;
    let settled = first.is_some() && usable.iter().all(|usable| usable.holder == first);
    if let Some(holder) = first
        && settled
    {
        // The common case: everything is known and of one person.
        if claims && usable.len() > 1 {
            raise_claims(nodes, holder, touchpoint, occurred, usable)?;
        }
        return Ok(holder);
    }
    let claim = Claim { at: occurred, message_id: touchpoint.message_id.into() };
    let mut base = if claims {
        let contested = contest(nodes, &claim, usable)?;
        let base = usable[0].holder.or_else(|| first_free(usable, &contested));
        let mut base = match base {
            Some(base) => base,
            None => create(nodes, context, out)?,
        };
        base = unite_all(nodes, context, base, &contested, usable, out)?;
        move_all(nodes, context.rules, base, &contested, usable, out)?;
        base
    } else {
        match first {
            Some(first) => unite_unclaimed(nodes, context, first, usable, out)?,
            None => create(nodes, context, out)?,
        }
    };
    base = nodes.canonical(base)?;
    attach_all(nodes, context.rules, base, usable, out)?;
    if claims {
        raise_claims(nodes, base, touchpoint, occurred, usable)?;
    }
    Ok(base)
}

/// Places (in `usable`) of the identifiers that this claim wins from another customer.
type Places = SmallVec<[usize; 4]>;

/// Decides each identifier that another customer holds; a lost one is ignored from here on.
fn contest(
    nodes: &mut Nodes,
    claim: &Claim,
    usable: &mut UsableList,
) -> Result<Places, GraphError> {
    let own = usable[0].holder;
    let mut won = Places::new();
    for place in 1..usable.len() {
        let Some(holder) = usable[place].holder else { continue };
        if Some(holder) == own {
            continue;
        }
        let person = nodes.person(holder)?;
        if person.node.as_ref().is_some_and(|node| node.customer().is_some()) {
            let identifier = &usable[place].identifier;
            if person.activity.claim(identifier).is_none_or(|known| known < claim) {
                won.push(place);
            } else {
                usable[place].ignored = true;
            }
        }
    }
    Ok(won)
}

/// The strongest identifier's holder among those without a customer of their own.
fn first_free(usable: &UsableList, contested: &Places) -> Option<ProfileId> {
    let free = |(place, usable): (usize, &Usable)| {
        (!usable.ignored && !contested.contains(&place)).then_some(usable.holder).flatten()
    };
    usable.iter().enumerate().find_map(free)
}

/// Unites the base with every holder that is not another customer's.
fn unite_all(
    nodes: &mut Nodes,
    context: Context<'_>,
    mut base: ProfileId,
    contested: &Places,
    usable: &mut UsableList,
    out: &mut Resolution,
) -> Result<ProfileId, GraphError> {
    for place in 0..usable.len() {
        if usable[place].ignored || contested.contains(&place) {
            continue;
        }
        let Some(holder) = usable[place].holder else { continue };
        let holder = nodes.canonical(holder)?;
        if holder == base {
            continue;
        }
        match unite(nodes, context, base, holder, out)? {
            Some(survivor) => base = survivor,
            None => ignore_holder(nodes, holder, usable)?,
        }
    }
    Ok(base)
}

/// A refused union: nothing that this person holds speaks for the touchpoint.
fn ignore_holder(
    nodes: &mut Nodes,
    refused: ProfileId,
    usable: &mut UsableList,
) -> Result<(), GraphError> {
    for usable in usable {
        if let Some(holder) = usable.holder
            && nodes.canonical(holder)? == refused
        {
            usable.ignored = true;
        }
    }
    Ok(())
}

/// Without a customer id on the touchpoint: everything joins, unless it would join two customers;
/// then the owner of the strongest identifier gets it and nobody's identifiers move.
fn unite_unclaimed(
    nodes: &mut Nodes,
    context: Context<'_>,
    base: ProfileId,
    usable: &mut UsableList,
    out: &mut Resolution,
) -> Result<ProfileId, GraphError> {
    let mut customers: SmallVec<[ProfileId; 4]> = SmallVec::new();
    let mut is_customer: SmallVec<[bool; 4]> = SmallVec::new();
    for usable in usable.iter() {
        let customer = match usable.holder {
            Some(holder) => {
                let node = nodes.person(holder)?.node.as_ref();
                let customer = node.is_some_and(|node| node.customer().is_some());
                if customer && !customers.contains(&holder) {
                    customers.push(holder);
                }
                customer
            }
            None => false,
        };
        is_customer.push(customer);
    }
    if customers.len() > 1 {
        let base_is_customer = customers.contains(&base);
        for (usable, customer) in usable.iter_mut().zip(is_customer) {
            let Some(holder) = usable.holder else { continue };
            // With a base that is nobody's customer, joining either of the two would be a guess.
            usable.ignored = holder != base && (customer || !base_is_customer);
        }
    }
    unite_all(nodes, context, base, &Places::new(), usable, out)
}

/// Makes one person of two, unless a limit forbids it. Gives the survivor.
fn unite(
    nodes: &mut Nodes,
    context: Context<'_>,
    a: ProfileId,
    b: ProfileId,
    out: &mut Resolution,
) -> Result<Option<ProfileId>, GraphError> {
    let node_a = nodes.node_mut(a)?.clone();
    let node_b = nodes.node_mut(b)?.clone();
    assert!(node_a.parent.is_none() && node_b.parent.is_none(), "only survivors unite");
    if let Some(kind) = over_limit(context.rules, &node_a, &node_b) {
        out.refuse(RefusalKind::MergeLimit, &kind);
        return Ok(None);
    }
    let a_survives = (node_a.created, a) < (node_b.created, b);
    let ((into, mut into_node), (from, mut from_node)) =
        if a_survives { ((a, node_a), (b, node_b)) } else { ((b, node_b), (a, node_a)) };
    let index = u16::try_from(out.unions.len()).expect("fewer unions than identifiers");
    let id = MergeId { cause: context.place(), index };

    let identifiers = std::mem::take(&mut from_node.identifiers);
    let unions = std::mem::take(&mut from_node.unions);
    into_node.identifiers.extend(identifiers.iter().cloned());
    let undo_from = context.log_time.minus(context.rules.undo);
    into_node.unions.retain(|union| union.at >= undo_from);
    if into_node.unions.len() == limits::UNDO_MAX {
        into_node.unions.remove(0);
    }
    let absorbed = std::mem::take(&mut from_node.absorbed);
    into_node.absorbed.extend(absorbed.iter().copied().chain([from]));
    let at = context.log_time;
    into_node.unions.push(Absorbed { id, from, identifiers, unions, absorbed, at });
    from_node.parent = Some(into);
    *nodes.node_mut(into)? = into_node;
    *nodes.node_mut(from)? = from_node;
    let activity = std::mem::take(nodes.activity_mut(from)?);
    nodes.activity_mut(into)?.absorb(activity);
    out.unions.push(Union { id, from, into });
    Ok(Some(into))
}

/// The first kind of which the union would hold too many.
fn over_limit(rules: &IdentityRules, a: &ProfileNode, b: &ProfileNode) -> Option<IdentifierKind> {
    let mut kinds: SmallVec<[&IdentifierKind; 8]> = SmallVec::new();
    for identifier in a.identifiers.iter().chain(&b.identifiers) {
        if !kinds.contains(&&identifier.kind) {
            kinds.push(&identifier.kind);
        }
    }
    kinds.into_iter().find(|kind| a.count(kind) + b.count(kind) > rules.limit(kind)).cloned()
}

/// Moves the identifiers that this claim won.
fn move_all(
    nodes: &mut Nodes,
    rules: &IdentityRules,
    base: ProfileId,
    won: &Places,
    usable: &mut UsableList,
    out: &mut Resolution,
) -> Result<(), GraphError> {
    for &place in won {
        let Some(from) = usable[place].holder else { continue };
        let from = nodes.canonical(from)?;
        let identifier = usable[place].identifier.clone();
        let holder = nodes.node_mut(base)?;
        if holder.count(&identifier.kind) >= rules.limit(&identifier.kind) {
            out.refuse(RefusalKind::IdentifierLimit, &identifier.kind);
            usable[place].ignored = true;
            continue;
        }
        holder.identifiers.push(identifier.clone());
        nodes.node_mut(from)?.identifiers.retain(|other| *other != identifier);
        let activity = nodes.activity_mut(from)?;
        activity.drop_claim(&identifier);
        let carried = activity.carried_by(&identifier);
        nodes.activity_mut(base)?.absorb(carried);
        let erased_until = usable[place].erased_until;
        nodes.set_identifier(&identifier, Some(IdentifierNode { profile: base, erased_until }));
        usable[place].holder = Some(base);
        out.moves.push(Move { identifier, from, to: base });
    }
    Ok(())
}

/// Attaches the identifiers that nobody holds.
fn attach_all(
    nodes: &mut Nodes,
    rules: &IdentityRules,
    base: ProfileId,
    usable: &mut UsableList,
    out: &mut Resolution,
) -> Result<(), GraphError> {
    for usable in usable.iter_mut().filter(|usable| usable.holder.is_none()) {
        let node = nodes.node_mut(base)?;
        let kind = &usable.identifier.kind;
        if node.count(kind) >= rules.limit(kind) {
            out.refuse(RefusalKind::IdentifierLimit, kind);
            usable.ignored = true;
            continue;
        }
        node.identifiers.push(usable.identifier.clone());
        let erased_until = usable.erased_until;
        let node = IdentifierNode { profile: base, erased_until };
        nodes.set_identifier(&usable.identifier, Some(node));
        usable.holder = Some(base);
    }
    Ok(())
}

/// Keeps the newest claim with each identifier that stands beside the customer id.
fn raise_claims(
    nodes: &mut Nodes,
    holder: ProfileId,
    touchpoint: &Touchpoint<'_>,
    occurred: Timestamp,
    usable: &UsableList,
) -> Result<(), GraphError> {
    let claim = Claim { at: occurred, message_id: touchpoint.message_id.into() };
    if usable[0].ignored {
        return Ok(());
    }
    let activity = nodes.activity_mut(holder)?;
    for usable in usable[1..].iter().filter(|usable| !usable.ignored) {
        activity.raise_claim(&usable.identifier, &claim);
    }
    Ok(())
}

/// Creates the profile that this record's place names.
fn create(
    nodes: &mut Nodes,
    context: Context<'_>,
    out: &mut Resolution,
) -> Result<ProfileId, GraphError> {
    let id = ProfileId(context.place());
    nodes.create(id, ProfileNode::new(context.log_time))?;
    out.created = true;
    Ok(id)
}
