//! Topics that are missing or otherwise than they must be are named with a remedy.

use crate::house::{alone, fresh, made, open};
use sojourn_kafka::{KafkaFault, KafkaLog, topics};
use sojourn_memory::ManualClock;
use sojourn_model::Timestamp;
use sojourn_ports::{Layout, Topic};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn topics_are_made_once_and_are_then_right() {
    let _alone = alone();
    let options = made();
    assert_eq!(topics::create(&options).unwrap(), Vec::<String>::new(), "they are there");
    drop(open(&options));
    assert_eq!(topics::check(&options).unwrap(), []);
}

#[test]
fn missing_topics_are_named() {
    let _alone = alone();
    let options = fresh();
    let differences = topics::check(&options).unwrap();
    assert_eq!(differences.len(), Topic::ALL.len());
    let sentence = differences[1].to_string();
    let name = options.topic_name(Topic::Profiles);
    let expected = format!(
        "topic {name}: the topic is missing, must be there, with 3 partitions; make it with \
         `sojourn topics`"
    );
    assert_eq!(sentence, expected);
    let opened = KafkaLog::open(options, Arc::new(ManualClock::new(Timestamp(0))));
    assert!(matches!(opened, Err(KafkaFault::Topics { differences }) if differences.len() == 7));
}

#[test]
fn each_wrong_setting_is_named() {
    let _alone = alone();
    let mut options = made();
    drop(open(&options));
    options.layout = Layout::new(2, 5);
    options.replicas = 3;
    options.min_insync = 2;
    let said: Vec<String> =
        topics::check(&options).unwrap().iter().map(ToString::to_string).collect();
    let of = |topic: Topic, what: &str| -> &String {
        let begin = format!("topic {}: {what} is", options.topic_name(topic));
        let found = said.iter().find(|said| said.starts_with(&begin));
        found.unwrap_or_else(|| panic!("{begin} … is not in {said:#?}"))
    };
    assert!(of(Topic::Profiles, "the number of partitions").contains("is 3, must be 5; "));
    assert!(of(Topic::Touchpoints, "the number of replicas").contains("is 1, must be at least 3"));
    let name = options.topic_name(Topic::Actions);
    assert_eq!(
        *of(Topic::Actions, "min.insync.replicas"),
        format!(
            "topic {name}: min.insync.replicas is 1, must be at least 2; kafka-configs --alter \
             --topic {name} --add-config min.insync.replicas=2"
        )
    );
    // Four topics have the wrong count, all seven too few replicas and too low a minimum.
    assert_eq!(said.len(), 4 + 7 + 7);
}

#[test]
fn no_broker_is_said_in_time() {
    let _alone = alone();
    let mut options = fresh();
    options.brokers = "127.0.0.1:1".to_owned();
    options.request_timeout = Duration::from_millis(500);
    let error = topics::check(&options).unwrap_err();
    assert!(matches!(error, KafkaFault::Unreachable { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("127.0.0.1:1") && said.contains("refused"), "{said}");
}
