//! Steps of a journey: read as a tree, laid flat in the order of the text.

use super::journey::{Reading, check_attribute, priority};
use super::policy::AT_CAP;
use super::waits;
use crate::cel::Expect;
use crate::definitions::{
    Arm, AtCap, Send, SplitArm, Step, StepIndex, StepKind, WaitFor, WaitWhat,
};
use crate::finding::suggest;
use crate::limits::{BEST_TIME_DAYS_MAX, JOURNEY_DEPTH_MAX, JOURNEY_STEPS_MAX};
use crate::reader::{Table, checked_name, items, wrong};
use crate::yaml::{Kind, Node};
use sojourn_model::{DurationMs, Name};

const KINDS: &[&str] = &[
    "send", "wait", "wait_for", "branch", "split", "update", "emit", "call", "enter", "throttle",
    "digest", "goal", "exit",
];

/// Where a step stands: its place in words, and how deep.
#[derive(Clone, Copy)]
struct At<'a> {
    place: &'a str,
    depth: usize,
}

/// Steps that follow each other, each with the blocks inside it: what `next` is made from.
struct Block(Vec<(StepIndex, Vec<Self>)>);

impl Block {
    fn first(&self) -> Option<StepIndex> {
        self.0.first().map(|(index, _)| *index)
    }
}

/// Reads the list of steps; gives the first.
pub(super) fn load(reading: &mut Reading<'_>, node: &Node) -> Option<StepIndex> {
    let block = block(reading, node, "steps", "", 0);
    wire(&mut reading.steps, &block, None);
    block.first()
}

/// The last step of a block goes on where the step around the block does.
fn wire(steps: &mut [Step], block: &Block, after: Option<StepIndex>) {
    for (place, (index, inner)) in block.0.iter().enumerate() {
        let next = block.0.get(place + 1).map_or(after, |(next, _)| Some(*next));
        steps[usize::from(index.0)].next = next;
        for block in inner {
            wire(steps, block, next);
        }
    }
}

fn block(
    reading: &mut Reading<'_>,
    node: &Node,
    key: &'static str,
    prefix: &str,
    depth: usize,
) -> Block {
    let mut block = Block(Vec::new());
    if node.is_null() {
        return block;
    }
    let source = reading.source;
    let steps = items(&source, node, key);
    if depth >= JOURNEY_DEPTH_MAX {
        source.error(
            "limit",
            node.place,
            format!("steps are nested deeper than {JOURNEY_DEPTH_MAX} levels"),
            "split the journey in two",
        );
        return block;
    }
    for (place, node) in steps.iter().enumerate() {
        if reading.steps.len() >= JOURNEY_STEPS_MAX {
            source.error(
                "limit",
                node.place,
                format!("a journey has at most {JOURNEY_STEPS_MAX} steps"),
                "split the journey in two",
            );
            return block;
        }
        if let Some(step) = step(reading, node, At { place: &format!("{prefix}{place}"), depth }) {
            block.0.push(step);
        }
    }
    crate::lint::unreachable(reading, &block.0.iter().map(|(index, _)| *index).collect::<Vec<_>>());
    block
}

/// Reads one step: reserves its place, then those of the steps inside it.
fn step(reading: &mut Reading<'_>, node: &Node, at: At<'_>) -> Option<(StepIndex, Vec<Block>)> {
    let source = reading.source;
    let table = Table::new(source, node, "this step")?;
    let id = table.text("id");
    table.get("note");
    let kinds: Vec<&str> = KINDS.iter().copied().filter(|kind| table.has(kind)).collect();
    if kinds.len() != 1 {
        let written = match &node.kind {
            Kind::Mapping(entries) => entries
                .iter()
                .filter_map(|(key, _)| key.text())
                .find(|key| !["id", "note"].contains(key)),
            _ => None,
        };
        source.error(
            "step-kind",
            node.place,
            match kinds.len() {
                0 => "this step does not say what it does".to_owned(),
                _ => format!("this step does {} things at once: {}", kinds.len(), kinds.join(", ")),
            },
            if kinds.is_empty() {
                suggest(
                    written.unwrap_or_default(),
                    KINDS.iter().copied(),
                    &format!("give exactly one of {}", KINDS.join(", ")),
                )
            } else {
                "make one step of each".to_owned()
            },
        );
        return None;
    }
    let id = id.unwrap_or_else(|| at.place.into());
    checked_name(&source, table.place(), &id, "a step");
    if let Some(first) = reading.ids.insert(id.clone(), node.place) {
        source.warning(
            "duplicate-step",
            table.key_place("id"),
            format!("step id `{id}` is taken (line {}); caps, throttles and decisions cannot tell the two apart", first.line),
            "give each step its own id",
        );
    }
    let index = StepIndex(u16::try_from(reading.steps.len()).ok()?);
    // What it does is filled in once the steps inside it have their places.
    reading.steps.push(Step { id: id.clone(), kind: StepKind::Goal, next: None });
    reading.places.push(node.place);
    let mut inner = Vec::new();
    let kind = step_kind(reading, &table, kinds[0], at, &mut inner);
    table.finish();
    let slot = &mut reading.steps[usize::from(index.0)];
    match kind {
        Some(kind) => slot.kind = kind,
        // There was a finding; the journey will not run.
        None => slot.kind = StepKind::Branch(Vec::new()),
    }
    Some((index, inner))
}

fn step_kind(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    kind: &str,
    at: At<'_>,
    inner: &mut Vec<Block>,
) -> Option<StepKind> {
    match kind {
        "send" => send(reading, &table.table("send", "`send`")?),
        "wait" => waits::wait(reading, table),
        "wait_for" => wait_for(reading, table, at, inner),
        "branch" => branch(reading, table.required("branch")?, at, inner),
        "split" => split(reading, &table.table("split", "`split`")?, at, inner),
        "update" => update(reading, &table.table("update", "`update`")?),
        "emit" => emit(reading, &table.table("emit", "`emit`")?),
        "throttle" => throttle(reading, &table.table("throttle", "`throttle`")?),
        "digest" => super::digest::digest(reading, &table.table("digest", "`digest`")?),
        "enter" => super::enter::enter(reading, &table.table("enter", "`enter`")?),
        "goal" => {
            table.choice("goal", &[("reached", ())])?;
            Some(StepKind::Goal)
        }
        "exit" => {
            let reason = table.text("exit").unwrap_or_else(|| "exit".into());
            checked_name(&table.source, table.key_place("exit"), &reason, "a reason to exit");
            Some(StepKind::Exit(reason))
        }
        _ => super::call::call(reading, &table.table("call", "`call`")?),
    }
}

fn send(reading: &Reading<'_>, table: &Table<'_>) -> Option<StepKind> {
    let source = reading.source;
    let template = table.required_text("template");
    let channels = table.names("channels");
    if table.required("channels").is_some() && channels.is_empty() {
        source.error(
            "missing-key",
            table.key_place("channels"),
            "`channels` names no channel",
            "name one",
        );
    }
    let own = table.get("purpose").and_then(|node| reading.purpose(node));
    let (purpose, topic) = own.unwrap_or_else(|| (reading.purpose.clone(), reading.topic.clone()));
    let best_time = table.duration("best_time");
    let furthest = DurationMs::days(BEST_TIME_DAYS_MAX);
    if best_time.is_some_and(|ahead| ahead.0 <= 0 || ahead > furthest) {
        source.error(
            "bad-duration",
            table.key_place("best_time"),
            format!("`best_time` looks at most {BEST_TIME_DAYS_MAX} days ahead, and more than not at all"),
            "write best_time: 24h",
        );
    }
    let at_cap = table.choice("at_cap", AT_CAP);
    let caps = &reading.context.policy.caps;
    let put_off = match at_cap {
        Some(at_cap) => at_cap == AtCap::Digest,
        None => caps.iter().any(|cap| cap.at_cap == AtCap::Digest),
    };
    let expires = table.duration("expires");
    if expires == Some(DurationMs(0)) {
        source.error(
            "bad-duration",
            table.key_place("expires"),
            "a message that expires at once is never sent",
            "give it a time to live, such as 24h",
        );
    }
    let waves = super::pace::waves(table, expires);
    let only_if =
        table.get("only_if").and_then(|node| reading.in_step(node, "only_if", Expect::Condition));
    let value = table.get("value").and_then(|node| reading.in_step(node, "value", Expect::Number));
    let mut variables = Vec::new();
    if let Some(table) = table.table("variables", "`variables`") {
        for (name, _, node) in table.entries() {
            if let Some(value) = reading.in_step(node, "variables", Expect::Value) {
                variables.push((name, value));
            }
        }
    }
    let put_off = if put_off { super::digest::keeps(reading, &purpose) } else { Vec::new() };
    let send = Send {
        template: template?,
        channels,
        purpose,
        topic,
        expires,
        best_time,
        waves,
        at_cap,
        put_off,
        only_if,
        tags: table.names("tags"),
        priority: priority(table).unwrap_or(reading.priority),
        value,
        variables,
    };
    table.finish();
    crate::lint::send(reading, table, &send);
    Some(StepKind::Send(Box::new(send)))
}

fn wait_for(
    reading: &mut Reading<'_>,
    outer: &Table<'_>,
    at: At<'_>,
    inner: &mut Vec<Block>,
) -> Option<StepKind> {
    let table = outer.table("wait_for", "`wait_for`");
    let mut what = None;
    let mut timeout = None;
    if let Some(table) = table {
        timeout = table.duration("timeout");
        what = match (table.has("on"), table.has("condition")) {
            (true, false) => {
                table.required("on");
                reading.rule(&table, true).map(WaitWhat::Event)
            }
            (false, true) => {
                if table.get("when").is_some() {
                    reading.source.error(
                        "unknown-key",
                        table.key_place("when"),
                        "`when` filters an event, and this waits for a condition",
                        "join the two with && in `condition`",
                    );
                }
                table
                    .required("condition")
                    .and_then(|node| reading.in_step(node, "condition", Expect::Condition))
                    .map(WaitWhat::Condition)
            }
            _ => {
                reading.source.error(
                    "wait-for-what",
                    table.place(),
                    "`wait_for` needs either an event (`on`) or a `condition`",
                    "give exactly one of the two",
                );
                None
            }
        };
        table.finish();
    }
    let mut branch = |key: &'static str| {
        let node = outer.get(key)?;
        let block = block(reading, node, key, &format!("{}/{key}/", at.place), at.depth + 1);
        let first = block.first();
        inner.push(block);
        first
    };
    let then = branch("then");
    let otherwise = branch("timeout");
    if otherwise.is_some() && timeout.is_none() && what.is_some() {
        outer.source.error(
            "unreachable",
            outer.key_place("timeout"),
            "these steps never run: `wait_for` has no `timeout`",
            "give `wait_for` a `timeout`, such as 2d",
        );
    }
    Some(StepKind::WaitFor(Box::new(WaitFor { what: what?, timeout, then, otherwise })))
}

fn branch(
    reading: &mut Reading<'_>,
    node: &Node,
    at: At<'_>,
    inner: &mut Vec<Block>,
) -> Option<StepKind> {
    let source = reading.source;
    let nodes = items(&source, node, "branch");
    let mut arms = Vec::with_capacity(nodes.len());
    let mut complete = true;
    let mut ended = false;
    for (number, node) in nodes.iter().enumerate() {
        let Some(table) = Table::new(source, node, "this arm") else {
            complete = false;
            continue;
        };
        let (when, steps, key) = if table.has("else") {
            (None, table.get("else"), "else")
        } else {
            let when = table
                .required("when")
                .and_then(|node| reading.in_step(node, "when", Expect::Condition));
            complete &= when.is_some();
            (when, table.get("steps"), "steps")
        };
        table.get("note");
        if ended {
            source.error(
                "unreachable",
                node.place,
                "this arm stands after `else`, so it is never reached",
                "move it before `else`",
            );
        }
        ended |= when.is_none() && key == "else";
        let mut first = None;
        if let Some(steps) = steps {
            let block =
                block(reading, steps, key, &format!("{}/branch/{number}/", at.place), at.depth + 1);
            first = block.first();
            inner.push(block);
        }
        table.finish();
        arms.push(Arm { when, first });
    }
    if nodes.is_empty() {
        source.error("missing-key", node.place, "`branch` has no arms", "add `- when: …`");
        return None;
    }
    complete.then_some(StepKind::Branch(arms))
}

fn split(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    at: At<'_>,
    inner: &mut Vec<Block>,
) -> Option<StepKind> {
    let source = reading.source;
    let name = table.required_text("name");
    table.required("arms");
    let mut arms: Vec<SplitArm> = Vec::new();
    for node in table.list("arms") {
        let Some(arm_table) = Table::new(source, node, "this arm") else { continue };
        let arm = arm_table.required_text("arm");
        arm_table.required("percent");
        let percent = arm_table.percent("percent");
        let mut first = None;
        if let Some(steps) = arm_table.get("steps") {
            let label = arm.as_deref().unwrap_or_default();
            let block = block(
                reading,
                steps,
                "steps",
                &format!("{}/split/{label}/", at.place),
                at.depth + 1,
            );
            first = block.first();
            inner.push(block);
        }
        arm_table.get("note");
        arm_table.finish();
        let (Some(arm), Some(percent)) = (arm, percent) else { continue };
        if arms.iter().any(|other| other.arm == arm) {
            source.error(
                "duplicate",
                node.place,
                format!("arm `{arm}` is given twice"),
                "rename one",
            );
        }
        arms.push(SplitArm { arm, percent, first });
    }
    table.finish();
    let sum: f64 = arms.iter().map(|arm| arm.percent).sum();
    if sum > 100.0 + 1e-9 {
        source.error(
            "split-sum",
            table.key_place("arms"),
            format!("the shares add up to {sum} percent"),
            "let them add up to 100",
        );
    } else if sum < 100.0 - 1e-9 && !arms.is_empty() {
        source.warning(
            "split-sum",
            table.key_place("arms"),
            format!("the shares add up to {sum} percent; the rest goes on after the split"),
            "let them add up to 100, or add an arm without steps",
        );
    }
    Some(StepKind::Split { name: name?, arms })
}

fn update(reading: &Reading<'_>, table: &Table<'_>) -> Option<StepKind> {
    let mut updates = Vec::new();
    for (name, place, node) in table.entries() {
        let path: Vec<Name> = name.split('.').map(Name::from).collect();
        check_attribute(reading, place, &path);
        if let Some(value) = reading.in_step(node, "update", Expect::Value) {
            updates.push((name, value));
        }
    }
    if updates.is_empty()
        && matches!(&table.node.kind, Kind::Mapping(entries) if entries.is_empty())
    {
        wrong(&table.source, table.node, "`update` must name at least one attribute");
    }
    Some(StepKind::Update(updates))
}

fn emit(reading: &Reading<'_>, table: &Table<'_>) -> Option<StepKind> {
    let event = table.required_text("event");
    if let Some(event) = &event {
        reading.check_event(table.key_place("event"), event);
    }
    let mut properties = Vec::new();
    if let Some(inner) = table.table("properties", "`properties`") {
        for (name, _, node) in inner.entries() {
            if let Some(value) = reading.in_step(node, "properties", Expect::Value) {
                properties.push((name, value));
            }
        }
    }
    table.finish();
    Some(StepKind::Emit { event: event?, properties })
}

fn throttle(reading: &Reading<'_>, table: &Table<'_>) -> Option<StepKind> {
    table.required("at_most");
    let at_most = table.count("at_most");
    if at_most == Some(0) {
        table.source.error(
            "cap-zero",
            table.key_place("at_most"),
            "this throttle lets nobody through",
            "allow at least 1",
        );
    }
    table.required("per");
    let per = table.duration("per");
    let key = table
        .get("key")
        .and_then(|node| reading.expression(node, "key", reading.entered(), true, Expect::Key));
    let wait = table.choice("otherwise", &[("exit", false), ("wait", true)]).unwrap_or(false);
    table.finish();
    Some(StepKind::Throttle { at_most: at_most?, per: per?, key, wait })
}
