//! The scripts: loaded once, called by their hash.

use redis::Script;
use std::sync::LazyLock;

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(pub(crate) static $name: LazyLock<Source> =
            LazyLock::new(|| Source::new(include_str!(concat!("lua/", $file, ".lua"))));)*
    };
}

scripts! {
    CLAIM = "claim";
    STAGE = "stage";
    CHECKPOINT = "checkpoint";
    SHARD_CLAIM = "shard_claim";
    COMMIT = "commit";
    GATE_OPEN = "gate_open";
    GATE_MARK = "gate_mark";
    GATE_ASK = "gate_ask";
    GATE_STILL = "gate_still";
    GATE_RENEW = "gate_renew";
    GATE_FORGET = "gate_forget";
    SNAP_BEGIN = "snap_begin";
    SNAP_PAGE = "snap_page";
    SNAP_END = "snap_end";
    RESTORE_END = "restore_end";
    LEASE = "lease";
    LEASE_LEAVE = "lease_leave";
}

/// A script and its hash.
pub(crate) struct Source {
    pub(crate) code: &'static str,
    pub(crate) hash: String,
}

impl Source {
    fn new(code: &'static str) -> Self {
        Self { code, hash: Script::new(code).get_hash().to_owned() }
    }
}
