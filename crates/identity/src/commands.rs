//! Commands about a person, as far as the identity graph is concerned, and the look-up of a person.

use crate::limits;
use crate::node::{IdentifierNode, ProfileNode, identifier_key, profile_key};
use crate::nodes::{Nodes, read_one};
use crate::resolve::Context;
use sojourn_model::{Command, Identifier, ProfileId};
use sojourn_ports::{GraphError, IdentityGraph};
use sojourn_proto::IdentifiedCommand;

/// Whom a command concerns, with its effect on the graph done. `None`: nobody by that name.
pub(crate) fn command(
    nodes: &mut Nodes,
    context: Context<'_>,
    command: &IdentifiedCommand,
) -> Result<Option<ProfileId>, GraphError> {
    let named = match (&command.identifier, command.profile) {
        (Some(identifier), _) => nodes.identifier(identifier)?.map(|node| node.profile),
        (None, Some(profile)) => nodes.person(profile)?.node.is_some().then_some(profile),
        (None, None) => None,
    };
    let Some(named) = named else { return Ok(None) };
    let profile = nodes.canonical(named)?;
    match command.command {
        Command::Erase => erase(nodes, context, profile)?,
        Command::Unmerge => unmerge(nodes, context, profile)?,
        _ => {}
    }
    Ok(Some(profile))
}

/// Removes the identifiers; salted hashes stay, so that what occurred before does not bring the
/// person back (ERA-1). The profile's own node stays as a tombstone for receipts.
fn erase(nodes: &mut Nodes, context: Context<'_>, profile: ProfileId) -> Result<(), GraphError> {
    let node = nodes.node_mut(profile)?;
    let identifiers = std::mem::take(&mut node.identifiers);
    node.unions.clear();
    node.erased = Some(context.log_time);
    *nodes.activity_mut(profile)? = Default::default();
    for identifier in identifiers {
        nodes.set_identifier(&identifier, None);
        nodes.bury(&context.rules.salt, &identifier, context.log_time);
    }
    Ok(())
}

/// Takes back the last merge into this profile, if it is young enough: the absorbed profile gets
/// back what it held, as far as it has not moved on since.
fn unmerge(nodes: &mut Nodes, context: Context<'_>, profile: ProfileId) -> Result<(), GraphError> {
    let node = nodes.node_mut(profile)?;
    let undo_from = context.log_time.minus(context.rules.undo);
    let Some(union) = node.unions.pop_if(|union| union.at >= undo_from) else { return Ok(()) };
    let (back, stay) = std::mem::take(&mut node.identifiers)
        .into_iter()
        .partition(|identifier| union.identifiers.contains(identifier));
    node.identifiers = stay;
    node.absorbed.retain(|id| *id != union.from && !union.absorbed.contains(id));
    let back: Vec<Identifier> = back;
    let mut claims = Vec::new();
    for identifier in &back {
        if let Some(claim) = nodes.activity_mut(profile)?.drop_claim(identifier) {
            claims.push((identifier.clone(), claim));
        }
        let erased_until = nodes.identifier(identifier)?.and_then(|node| node.erased_until);
        let node = IdentifierNode { profile: union.from, erased_until };
        nodes.set_identifier(identifier, Some(node));
    }
    let from = nodes.node_mut(union.from)?;
    from.parent = None;
    from.identifiers = back;
    from.unions = union.unions;
    from.absorbed = union.absorbed;
    nodes.activity_mut(union.from)?.claims = claims;
    Ok(())
}

/// The person who holds an identifier now, in the committed graph: for the command line and the
/// administration. The value is normalised by the caller.
pub fn find(
    graph: &dyn IdentityGraph,
    identifier: &Identifier,
) -> Result<Option<ProfileId>, GraphError> {
    let broken = |error: postcard::Error| GraphError::Failed(format!("a stored node: {error}"));
    let Some(bytes) = read_one(graph, identifier_key(identifier))? else { return Ok(None) };
    let node: IdentifierNode = postcard::from_bytes(&bytes).map_err(broken)?;
    canonical(graph, node.profile).map(Some)
}

/// The profile that `profile` has become by merges, in the committed graph.
pub fn canonical(graph: &dyn IdentityGraph, profile: ProfileId) -> Result<ProfileId, GraphError> {
    let mut current = profile;
    for _ in 0..limits::MERGE_CHAIN_MAX {
        let Some(bytes) = read_one(graph, profile_key(b'p', current))? else { return Ok(current) };
        let node: ProfileNode = postcard::from_bytes(&bytes)
            .map_err(|error| GraphError::Failed(format!("a stored profile: {error}")))?;
        match node.parent {
            Some(parent) => current = parent,
            None => return Ok(current),
        }
    }
    Err(GraphError::Failed("a chain of merges has no end".to_owned()))
}

/// Every profile that `profile` has absorbed, also through others, in the committed graph: their records belong to its story.
pub fn absorbed(
    graph: &dyn IdentityGraph,
    profile: ProfileId,
) -> Result<Vec<ProfileId>, GraphError> {
    let Some(bytes) = read_one(graph, profile_key(b'p', profile))? else { return Ok(vec![]) };
    let node: ProfileNode = postcard::from_bytes(&bytes)
        .map_err(|error| GraphError::Failed(format!("a stored profile: {error}")))?;
    Ok(node.absorbed)
}
