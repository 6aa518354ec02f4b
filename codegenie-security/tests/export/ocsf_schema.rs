//! What we write, checked against the published schema (`tests/peer/ocsf.py`).

use std::io::Write;
use std::process::{Command, Stdio};

use codegenie_security::export::{Exporter, Origin};
use codegenie_security::{AuditEvent, EventClass, OperationId, StoredEvent};

use crate::events::{RESULTS, THREATS};

/// Every class with verbs of all classes, every result and threat level, with and without the optional fields.
fn lines() -> Vec<u8> {
    let verbs = [
        "login",
        "revoke",
        "raise",
        "create",
        "read",
        "update",
        "delete",
        "execute",
        "terminate",
        "rename",
        "set_attributes",
        "chmod",
        "open",
        "connect",
        "close",
        "reset",
        "traffic",
        "listen",
        "resolve",
        "",
    ];
    let exporter = Exporter::OcsfJson(Origin::new());
    let mut lines = Vec::new();
    let mut sequence = 0;
    for class in EventClass::ALL {
        for verb in verbs {
            for (result, threat) in RESULTS.into_iter().cycle().zip(THREATS) {
                for resource in ["host.example:443", "[::1]:80", "a b", "/a/b", ""] {
                    let mut event = AuditEvent::new(class, verb, resource).result(result).threat(threat);
                    event = event.detail("cve", "CVE-2026-1234").detail("cwe", "CWE-79");
                    if sequence % 2 == 1 {
                        event = event
                            .actor("alice")
                            .agent("coder")
                            .session("s")
                            .operation(OperationId::generate());
                        event = event.detail("pid", 7).detail("exit_code", 1).detail("exit_code", f64::NAN);
                    }
                    exporter.write(&StoredEvent::new(sequence, event), &mut lines).unwrap();
                    sequence += 1;
                }
            }
        }
    }
    lines
}

#[test]
#[ignore = "needs Python with ocsf-json-schema and jsonschema"]
fn the_schema_of_ocsf_1_8_takes_every_class() {
    let python = std::env::var_os("CODEGENIE_PYTHON").unwrap_or_else(|| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/ocsf.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&lines()).unwrap();
    assert!(child.wait().unwrap().success());
}
