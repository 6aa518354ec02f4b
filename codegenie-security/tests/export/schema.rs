//! What the schema of OCSF 1.8 requires of the classes and objects that we export, against events of every kind.

use codegenie_security::export::{Origin, ocsf_json};
use codegenie_security::{AuditEvent, AuditValue, EventClass, StoredEvent};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::events::{event, text, value};

/// Attributes that an object must have, those of which it must have one, and those of which it must have just one.
struct Rules {
    required: &'static [&'static str],
    at_least_one: &'static [&'static str],
    just_one: &'static [&'static str],
}

const NONE: Rules = Rules { required: &[], at_least_one: &[], just_one: &[] };

const BASE_EVENT: Rules = Rules {
    required: &["activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"],
    ..NONE
};

/// The class, its category, and what it wants beside the base event.
const CLASSES: [(u64, u64, Rules); 9] = [
    (1001, 1, Rules { required: &["actor", "device", "file"], ..NONE }),
    (1007, 1, Rules { required: &["actor", "device", "process"], ..NONE }),
    (2002, 2, Rules { required: &["finding_info", "vulnerabilities"], ..NONE }),
    (2004, 2, Rules { required: &["finding_info"], ..NONE }),
    (3002, 3, Rules { required: &["user"], at_least_one: &["service", "dst_endpoint"], ..NONE }),
    (3003, 3, Rules { required: &["user"], at_least_one: &["privileges", "group", "groups"], ..NONE }),
    (4001, 4, Rules { at_least_one: &["dst_endpoint", "src_endpoint"], ..NONE }),
    (5019, 5, Rules { required: &["device"], ..NONE }),
    (6003, 6, Rules { required: &["actor", "api", "src_endpoint"], ..NONE }),
];

const ENDPOINT: Rules = Rules {
    at_least_one: &[
        "ip",
        "uid",
        "name",
        "hostname",
        "svc_name",
        "instance_uid",
        "interface_uid",
        "interface_name",
    ],
    ..NONE
};
const ENTITY: Rules = Rules { at_least_one: &["name", "uid"], ..NONE };
const RECORD: Rules = Rules { required: &["uid"], ..NONE };

/// By the attribute that an object stands in.
fn object_rules(attribute: &str) -> Rules {
    match attribute {
        "actor" => Rules {
            at_least_one: &["process", "user", "invoked_by", "session", "app_name", "app_uid"],
            ..NONE
        },
        "advisory" | "cve" | "cwe" | "finding_info" | "related_cwes" => RECORD,
        "api" => Rules { required: &["operation"], ..NONE },
        "device" => Rules { required: &["type_id"], ..ENDPOINT },
        "dst_endpoint" | "src_endpoint" => ENDPOINT,
        "file" => Rules { required: &["name", "type_id"], ..NONE },
        "metadata" => Rules { required: &["product", "version"], ..NONE },
        "process" => Rules { at_least_one: &["pid", "uid", "cpid"], ..NONE },
        "product" | "resources" | "service" => ENTITY,
        "user" => Rules { at_least_one: &["account", "name", "uid"], ..NONE },
        "vulnerabilities" => Rules { just_one: &["advisory", "cve", "cwe"], ..NONE },
        "session" => NONE,
        other => panic!("{other} is not in the table"),
    }
}

fn broken(rules: &Rules, object: &Map<String, Value>) -> Option<String> {
    let has = |name: &&&str| object.get(**name).is_some_and(|value| !value.is_null());
    if let Some(missing) = rules.required.iter().find(|name| !has(name)) {
        return Some(format!("{missing} is missing"));
    }
    let any = rules.at_least_one;
    if !any.is_empty() && !any.iter().any(|name| has(&name)) {
        return Some(format!("none of {any:?}"));
    }
    let one = rules.just_one;
    (!one.is_empty() && one.iter().filter(has).count() != 1).then(|| format!("not one of {one:?}"))
}

fn check_objects(attribute: &str, value: &Value) {
    match value {
        Value::Object(object) => {
            let problem = broken(&object_rules(attribute), object);
            assert_eq!(problem, None, "{attribute}: {value}");
            object.iter().for_each(|(name, value)| check_objects(name, value));
        }
        // An array of objects has at least one, or else it says nothing.
        Value::Array(values) => {
            assert!(!values.is_empty(), "{attribute}");
            values.iter().for_each(|value| check_objects(attribute, value));
        }
        _ => {}
    }
}

/// The event, if all is there.
fn exported(event: AuditEvent) -> Value {
    let line: Value = serde_json::from_str(&ocsf_json(&Origin::new(), &StoredEvent::new(7, event))).unwrap();
    let object = line.as_object().unwrap();
    let (class, category, rules) =
        CLASSES.iter().find(|(class, ..)| line["class_uid"] == *class).unwrap_or_else(|| panic!("{line}"));
    assert_eq!(line["category_uid"], *category, "{line}");
    assert_eq!(line["type_uid"], class * 100 + line["activity_id"].as_u64().unwrap(), "{line}");
    assert_eq!((broken(&BASE_EVENT, object), broken(rules, object)), (None, None), "{line}");
    for (name, value) in object.iter().filter(|(name, _)| *name != "unmapped") {
        check_objects(name, value);
    }
    line
}

#[test]
fn every_class_has_what_the_schema_requires() {
    for class in EventClass::ALL {
        let line = exported(AuditEvent::new(class, "", ""));
        let uid = match class {
            EventClass::VulnerabilityFinding => 2004,
            class => class.ocsf_class_uid(),
        };
        assert_eq!(line["class_uid"], uid);
        assert_eq!(line["metadata"]["event_code"], class.as_str());
    }
    assert_eq!(exported(found(&[("cve", "CVE-2026-1".into())]))["class_uid"], 2002);
}

fn found(details: &[(&str, AuditValue)]) -> AuditEvent {
    let event = AuditEvent::new(EventClass::VulnerabilityFinding, "find", "dep");
    details.iter().fold(event, |event, (name, value)| event.detail(*name, value.clone()))
}

#[test]
fn a_vulnerability_is_named_by_what_the_event_has() {
    let list = |texts: &[&str]| AuditValue::List(texts.iter().map(|text| (*text).to_owned()).collect());
    for (details, named) in [
        (vec![("cve", "CVE-2026-1".into())], json!([{ "cve": { "uid": "CVE-2026-1" } }])),
        (vec![("cwe", "CWE-79".into())], json!([{ "cwe": { "uid": "CWE-79" } }])),
        (vec![("cwe", 79.into())], json!([{ "cwe": { "uid": "CWE-79" } }])),
        (
            vec![("advisory", "RUSTSEC-2026-0001".into())],
            json!([{ "advisory": { "uid": "RUSTSEC-2026-0001" } }]),
        ),
        (
            vec![("cwe", "CWE-79".into()), ("advisory", "GHSA-a".into()), ("cve", "CVE-2026-1".into())],
            json!([{ "cve": { "uid": "CVE-2026-1", "related_cwes": [{ "uid": "CWE-79" }] } }]),
        ),
        (
            vec![("cwe", list(&["CWE-1", "CWE-2"])), ("advisory", "GHSA-a".into()), ("cve", " ".into())],
            json!([{ "advisory": { "uid": "GHSA-a", "related_cwes": [{ "uid": "CWE-1" }, { "uid": "CWE-2" }] } }]),
        ),
        (
            vec![("cve", list(&["CVE-1", "CVE-2"])), ("cve", "CVE-1".into()), ("cwe", 79.into())],
            json!([{ "cve": { "uid": "CVE-1" } }, { "cve": { "uid": "CVE-2" } }]),
        ),
    ] {
        let mut line = exported(found(&details));
        assert_eq!(
            (&line["class_uid"], &line["class_name"]),
            (&json!(2002), &json!("Vulnerability Finding"))
        );
        for vulnerability in line["vulnerabilities"].as_array_mut().unwrap() {
            assert_eq!(vulnerability.as_object_mut().unwrap().remove("title"), Some(json!("find dep")));
        }
        assert_eq!(line["vulnerabilities"], named);
    }
}

#[test]
fn a_vulnerability_without_a_name_is_a_detection() {
    for details in
        [&[][..], &[("cve", "".into())], &[("cve", 1.into()), ("advisory", AuditValue::List(Vec::new()))]]
    {
        let line = exported(found(details));
        assert_eq!(line["class_name"], "Detection Finding");
        assert_eq!(
            (&line["type_uid"], &line["type_name"]),
            (&json!(200_401), &json!("Detection Finding: Create"))
        );
        assert_eq!(
            line["finding_info"],
            json!({ "title": "find dep", "uid": "7", "types": ["Vulnerability"] })
        );
        assert_eq!((&line["is_alert"], line.get("vulnerabilities")), (&json!(false), None));
        assert_eq!((&line["status"], &line["resources"]), (&json!("New"), &json!([{ "name": "dep" }])));
    }
    let detection =
        exported(AuditEvent::new(EventClass::DetectionFinding, "detect", "x").detail("cve", "CVE-1"));
    assert_eq!(detection["finding_info"], json!({ "title": "detect x", "uid": "7" }));
}

proptest! {
    #[test]
    fn any_event_has_what_the_schema_requires(
        event in event(),
        names in prop::collection::vec((prop::sample::select(vec!["cve", "cwe", "advisory"]), value()), 0..4),
        action in text(),
    ) {
        for class in EventClass::ALL {
            let mut event = names.iter().fold(event.clone(), |event, (name, value)| event.detail(*name, value.clone()));
            event.class = class;
            exported(event.clone());
            event.action.clone_from(&action);
            exported(event);
        }
    }
}
