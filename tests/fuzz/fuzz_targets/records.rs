//! Records of all topics and stored state: bytes decode or give an error, and what was decoded
//! encodes to what decodes to the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sojourn_engine::Partition;
use sojourn_proto as proto;

fuzz_target!(|input: &[u8]| {
    if let Ok(proto::TouchpointRecord::Touchpoint(touchpoint)) =
        proto::decode_touchpoint_record(input)
    {
        let mut again = Vec::new();
        proto::encode_touchpoint_record(&touchpoint, &mut again);
        let Ok(proto::TouchpointRecord::Touchpoint(second)) =
            proto::decode_touchpoint_record(&again)
        else {
            panic!("what was encoded does not decode");
        };
        assert_eq!(format!("{touchpoint:?}"), format!("{second:?}"));
    }
    let _ = proto::raw_touchpoint(input);
    let _ = proto::decode_profile_record(input);
    if let Ok((origin, record)) = proto::decode_action_record(input) {
        if let proto::ActionRecord::Action(action) = &record {
            let again = proto::action_record(origin, action);
            let second = proto::decode_action_record(&again).expect("it decodes");
            assert_eq!(format!("{record:?}"), format!("{:?}", second.1));
        }
    }
    let _ = proto::decode_decision_record(input);
    let _ = proto::decode_dispatch_record(input);
    let _ = proto::decode_dead_letter(input);
    let _ = proto::value_from_json("input", input);
    let _ = Partition::decode_profile(input);
});
