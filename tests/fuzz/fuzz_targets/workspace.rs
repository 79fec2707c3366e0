//! Files of a workspace: the first byte chooses which one the rest replaces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sojourn_fuzz::{FILES, compile_checked};

fuzz_target!(|input: &[u8]| {
    let Some((&choice, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (path, _) = FILES[usize::from(choice) % FILES.len()];
    compile_checked(&[(path, text)]);
});
