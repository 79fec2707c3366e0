//! The contract of [`StateStore`] as cases.

use super::{Case, Report, run};
use crate::state::limits;
use crate::{Checkpoint, Claim, OwnersCheckpoint, Space, StateError, StateStore, Write};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the suite can bring the store into.
#[derive(Debug, Clone, Copy)]
pub struct StateCapabilities {
    /// [`StateFactory::next_unknown`].
    pub unknown: bool,
    /// [`StateFactory::roll_back`].
    pub roll_back: bool,
    /// [`StateFactory::empty`].
    pub empty: bool,
}

/// Opens a store and does to it what the world does.
pub trait StateFactory {
    /// An empty store.
    fn create(&mut self) -> Arc<dyn StateStore>;
    /// The process dies at once; opens what is left.
    fn crash(&mut self, store: Arc<dyn StateStore>) -> Arc<dyn StateStore>;
    /// The next checkpoint answers `Unknown`.
    fn next_unknown(&mut self, applied: bool);
    /// Takes the last checkpoints back.
    fn roll_back(&mut self, steps: usize);
    /// Everything is gone.
    fn empty(&mut self);
}

type Factory = Box<dyn StateFactory>;

/// Runs every case.
pub fn check_state(
    capabilities: &StateCapabilities,
    make: &mut dyn FnMut() -> Box<dyn StateFactory>,
) -> Report {
    run(CASES, capabilities, make)
}

const CASES: &[Case<Factory, StateCapabilities>] = &[
    ("an empty store has no position", |_| true, empty),
    ("a checkpoint is read back", |_| true, read_back),
    ("scans are in order, within bounds, and stop when told", |_| true, scan),
    ("owners do not see each other", |_| true, isolation),
    ("an older epoch writes nothing", |_| true, fencing),
    ("a checkpoint that goes back is refused", |_| true, backwards),
    ("of two writes of one key the later one stands", |_| true, twice),
    ("what is over a limit is refused whole", |_| true, over_limits),
    ("a checkpoint survives a crash, whole", |_| true, crash),
    ("readers never see half of a checkpoint", |_| true, whole),
    ("owners checkpoint at once", |_| true, concurrent),
    ("checkpoints handed over together stand each for itself", |_| true, together),
    ("an unknown checkpoint was applied or not, whole", |c| c.unknown, unknown),
    (
        "a store that is rolled back has an older state and position together",
        |c| c.roll_back,
        older,
    ),
    ("an emptied store has no position, and epochs still grow", |c| c.empty, emptied),
];

fn key(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(space: Space, name: &str, value: &str) -> Write {
    Write { space, key: key(name), value: Some(key(value)) }
}

fn delete(space: Space, name: &str) -> Write {
    Write { space, key: key(name), value: None }
}

fn step(position: u64, writes: Vec<Write>) -> Checkpoint {
    Checkpoint { position, writes }
}

fn get(store: &dyn StateStore, owner: &str, space: Space, name: &str) -> Option<String> {
    let values = store.get(owner, space, &[key(name)]).unwrap();
    assert_eq!(values.len(), 1);
    values[0].as_ref().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn keys(
    store: &dyn StateStore,
    owner: &str,
    space: Space,
    from: &str,
    to: Option<&str>,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        found.push(String::from_utf8(key.to_vec()).unwrap());
        true
    };
    store.scan(owner, space, from.as_bytes(), to.map(str::as_bytes), &mut visit).unwrap();
    found
}

fn empty(factory: &mut Factory) {
    let store = factory.create();
    assert!(store.owners().unwrap().is_empty());
    let first = store.claim("engine/0").unwrap();
    assert_eq!(first.position, None);
    let second = store.claim("engine/0").unwrap();
    assert!(second.epoch > first.epoch);
    assert_eq!(get(&*store, "engine/0", Space::Profile, "a"), None);
    assert!(keys(&*store, "engine/0", Space::Profile, "", None).is_empty());
    assert!(store.claim("").is_err() && store.claim("a\0b").is_err());
}

fn read_back(factory: &mut Factory) {
    let store = factory.create();
    let Claim { epoch, .. } = store.claim("engine/0").unwrap();
    let writes = vec![
        put(Space::Profile, "a", "1"),
        put(Space::Meta, "a", "2"),
        put(Space::Profile, "b", ""),
    ];
    store.checkpoint("engine/0", epoch, step(10, writes)).unwrap();
    let wanted = [key("b"), key("none"), key("a"), key("a")];
    let found = store.get("engine/0", Space::Profile, &wanted).unwrap();
    assert_eq!(found, [Some(key("")), None, Some(key("1")), Some(key("1"))]);
    assert_eq!(get(&*store, "engine/0", Space::Meta, "a").as_deref(), Some("2"));
    let writes = vec![delete(Space::Profile, "a"), delete(Space::Profile, "never")];
    store.checkpoint("engine/0", epoch, step(10, writes)).unwrap();
    assert_eq!(get(&*store, "engine/0", Space::Profile, "a"), None);
    assert_eq!(get(&*store, "engine/0", Space::Meta, "a").as_deref(), Some("2"));
    store.checkpoint("engine/0", epoch, step(11, vec![])).unwrap();
    assert_eq!(store.owners().unwrap(), [("engine/0".to_owned(), 11)]);
    assert_eq!(store.claim("engine/0").unwrap().position, Some(11));
}

fn scan(factory: &mut Factory) {
    let store = factory.create();
    let Claim { epoch, .. } = store.claim("o").unwrap();
    let writes = ["d", "a", "c", "b", "ab"].map(|name| put(Space::Wake, name, name)).to_vec();
    store.checkpoint("o", epoch, step(1, writes)).unwrap();
    let find = |from, to| keys(&*store, "o", Space::Wake, from, to);
    assert_eq!(find("", None), ["a", "ab", "b", "c", "d"]);
    assert_eq!(find("ab", Some("c")), ["ab", "b"]);
    assert_eq!(find("aa", Some("aa")), [""; 0]);
    assert_eq!(find("c", Some("b")), [""; 0]);
    let mut seen = 0;
    let mut two = |_: &[u8], _: &[u8]| {
        seen += 1;
        seen < 2
    };
    store.scan("o", Space::Wake, b"", None, &mut two).unwrap();
    assert_eq!(seen, 2);
    assert!(keys(&*store, "o", Space::Seen, "", None).is_empty());
}

fn isolation(factory: &mut Factory) {
    let store = factory.create();
    for (nth, owner) in ["engine/1", "engine/10", "engine/"].into_iter().enumerate() {
        let Claim { epoch, .. } = store.claim(owner).unwrap();
        let writes = vec![put(Space::Profile, "0", owner), put(Space::Profile, "z", owner)];
        store.checkpoint(owner, epoch, step(nth as u64, writes)).unwrap();
    }
    for owner in ["engine/1", "engine/10", "engine/"] {
        assert_eq!(get(&*store, owner, Space::Profile, "0").as_deref(), Some(owner));
        assert_eq!(keys(&*store, owner, Space::Profile, "", None), ["0", "z"]);
    }
    let mut owners = store.owners().unwrap();
    owners.sort();
    let named = |name: &str, position| (name.to_owned(), position);
    assert_eq!(owners, [named("engine/", 2), named("engine/1", 0), named("engine/10", 1)]);
}

fn fencing(factory: &mut Factory) {
    let store = factory.create();
    let old = store.claim("o").unwrap().epoch;
    store.checkpoint("o", old, step(1, vec![put(Space::Meta, "a", "1")])).unwrap();
    let new = store.claim("o").unwrap().epoch;
    let result = store.checkpoint("o", old, step(2, vec![put(Space::Meta, "a", "2")]));
    let fenced = StateError::Fenced { owner: "o".to_owned(), mine: old, current: new };
    assert_eq!(result, Err(fenced));
    assert_eq!(get(&*store, "o", Space::Meta, "a").as_deref(), Some("1"));
    assert_eq!(store.owners().unwrap(), [("o".to_owned(), 1)]);
    assert!(store.checkpoint("o", new + 1, step(2, vec![])).is_err(), "nobody claimed that");
    store.checkpoint("o", new, step(2, vec![])).unwrap();
}

fn together(factory: &mut Factory) {
    let store = factory.create();
    let one = |owner: &str, epochs_ago: u64, position, writes| {
        let epoch = store.claim(owner).unwrap().epoch - epochs_ago;
        let (owner, checkpoint) = (owner.to_owned(), step(position, writes));
        OwnersCheckpoint { owner, epoch, checkpoint }
    };
    let long = "k".repeat(limits::KEY_BYTES_MAX + 1);
    let fenced = one("b", 1, 4, vec![put(Space::Meta, "x", "b")]);
    let fits = [
        one("a", 0, 3, vec![put(Space::Meta, "x", "a")]),
        fenced,
        one("c", 0, 5, vec![put(Space::Meta, "x", "c")]),
    ];
    let outcomes = store.checkpoint_each(fits.into());
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    assert!(matches!(outcomes[1], Err(StateError::Fenced { .. })), "{outcomes:?}");
    let over = [
        one("a", 0, 6, vec![put(Space::Meta, &long, "a")]),
        one("c", 0, 6, vec![put(Space::Meta, "x", "d")]),
    ];
    let outcomes = store.checkpoint_each(over.into());
    assert!(outcomes[0].is_err() && outcomes[1].is_ok(), "{outcomes:?}");
    assert!(store.checkpoint_each(vec![]).is_empty());
    let mut owners = store.owners().unwrap();
    owners.sort();
    assert_eq!(owners, [("a".to_owned(), 3), ("c".to_owned(), 6)]);
    assert_eq!(get(&*store, "a", Space::Meta, "x").as_deref(), Some("a"));
    assert_eq!(get(&*store, "b", Space::Meta, "x"), None);
    let store = factory.crash(store);
    assert_eq!(get(&*store, "c", Space::Meta, "x").as_deref(), Some("d"));
}

fn backwards(factory: &mut Factory) {
    let store = factory.create();
    let epoch = store.claim("o").unwrap().epoch;
    store.checkpoint("o", epoch, step(5, vec![])).unwrap();
    let result = store.checkpoint("o", epoch, step(4, vec![put(Space::Meta, "a", "1")]));
    assert!(matches!(result, Err(StateError::Failed(_))));
    assert_eq!(get(&*store, "o", Space::Meta, "a"), None);
}

fn twice(factory: &mut Factory) {
    let store = factory.create();
    let epoch = store.claim("o").unwrap().epoch;
    let writes = vec![
        put(Space::Meta, "a", "1"),
        delete(Space::Meta, "a"),
        put(Space::Meta, "a", "2"),
        put(Space::Meta, "b", "1"),
        delete(Space::Meta, "b"),
    ];
    store.checkpoint("o", epoch, step(1, writes)).unwrap();
    let check = |store: &dyn StateStore| {
        assert_eq!(get(store, "o", Space::Meta, "a").as_deref(), Some("2"));
        assert_eq!(get(store, "o", Space::Meta, "b"), None);
    };
    check(&*store);
    check(&*factory.crash(store));
}

fn over_limits(factory: &mut Factory) {
    let store = factory.create();
    let epoch = store.claim("o").unwrap().epoch;
    let long = "k".repeat(limits::KEY_BYTES_MAX + 1);
    let writes = vec![put(Space::Meta, "a", "1"), put(Space::Meta, &long, "1")];
    assert!(store.checkpoint("o", epoch, step(1, writes)).is_err());
    assert_eq!(get(&*store, "o", Space::Meta, "a"), None);
    let fits = "k".repeat(limits::KEY_BYTES_MAX);
    let writes = vec![put(Space::Meta, &fits, "1")];
    store.checkpoint("o", epoch, step(1, writes)).unwrap();
    assert_eq!(get(&*store, "o", Space::Meta, &fits).as_deref(), Some("1"));
}

fn crash(factory: &mut Factory) {
    let mut store = factory.create();
    for round in 0..5u64 {
        let Claim { epoch, position } = store.claim("o").unwrap();
        assert!(epoch > round, "epochs grow over crashes");
        assert_eq!(position, round.checked_sub(1));
        let value = round.to_string();
        let writes = Space::ALL.map(|space| put(space, "a", &value)).to_vec();
        store.checkpoint("o", epoch, step(round, writes)).unwrap();
        store = factory.crash(store);
        for space in Space::ALL {
            assert_eq!(get(&*store, "o", space, "a"), Some(value.clone()), "LOG-2");
        }
    }
}

fn whole(factory: &mut Factory) {
    let store = factory.create();
    let epoch = store.claim("o").unwrap().epoch;
    let names: Vec<Bytes> = (0..50).map(|nth| key(&format!("{nth:02}"))).collect();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let values = store.get("o", Space::Profile, &names).unwrap();
                assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "half a checkpoint");
            }
        });
        for round in 0..100u64 {
            let value = key(&round.to_string());
            let write = |name: &Bytes| Write {
                space: Space::Profile,
                key: name.clone(),
                value: Some(value.clone()),
            };
            let writes = names.iter().map(write).collect();
            store.checkpoint("o", epoch, step(round, writes)).unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
}

fn concurrent(factory: &mut Factory) {
    let store = factory.create();
    std::thread::scope(|scope| {
        for nth in 0..4 {
            let store = &store;
            scope.spawn(move || {
                let owner = format!("engine/{nth}");
                let epoch = store.claim(&owner).unwrap().epoch;
                for position in 1..=50 {
                    let value = position.to_string();
                    let writes = vec![put(Space::Meta, "a", &value)];
                    store.checkpoint(&owner, epoch, step(position, writes)).unwrap();
                    assert_eq!(get(&**store, &owner, Space::Meta, "a"), Some(value));
                }
            });
        }
    });
    let store = factory.crash(store);
    assert!(store.owners().unwrap().iter().all(|(_, position)| *position == 50));
    assert_eq!(store.owners().unwrap().len(), 4);
}

fn unknown(factory: &mut Factory) {
    let store = factory.create();
    let mut position = 0;
    for applied in [true, false, true] {
        let Claim { epoch, .. } = store.claim("o").unwrap();
        factory.next_unknown(applied);
        let value = (position + 1).to_string();
        let result =
            store.checkpoint("o", epoch, step(position + 1, vec![put(Space::Meta, "a", &value)]));
        assert!(matches!(result, Err(StateError::Unknown(_))));
        position += u64::from(applied);
        assert_eq!(store.claim("o").unwrap().position, Some(position));
        let expected = position.to_string();
        assert_eq!(get(&*store, "o", Space::Meta, "a"), Some(expected), "LOG-2");
    }
}

fn older(factory: &mut Factory) {
    let store = factory.create();
    let epoch = store.claim("o").unwrap().epoch;
    for position in 1..=5 {
        let value = position.to_string();
        let writes = vec![
            put(Space::Meta, "a", &value),
            put(Space::Profile, &value, &value),
            delete(Space::Profile, &(position - 1).to_string()),
        ];
        store.checkpoint("o", epoch, step(position, writes)).unwrap();
    }
    factory.roll_back(2);
    let claim = store.claim("o").unwrap();
    assert!(claim.epoch > epoch);
    assert_eq!(claim.position, Some(3));
    assert_eq!(get(&*store, "o", Space::Meta, "a").as_deref(), Some("3"));
    assert_eq!(keys(&*store, "o", Space::Profile, "", None), ["3"]);
    factory.roll_back(usize::MAX);
    assert_eq!(store.claim("o").unwrap().position, None);
    assert!(keys(&*store, "o", Space::Profile, "", None).is_empty());
}

fn emptied(factory: &mut Factory) {
    let store = factory.create();
    let epoch = store.claim("o").unwrap().epoch;
    store.checkpoint("o", epoch, step(7, vec![put(Space::Meta, "a", "1")])).unwrap();
    factory.empty();
    let claim = store.claim("o").unwrap();
    assert!(claim.epoch > epoch);
    assert_eq!(claim.position, None);
    assert_eq!(get(&*store, "o", Space::Meta, "a"), None);
    assert!(store.owners().unwrap().is_empty());
}
