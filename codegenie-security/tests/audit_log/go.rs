//! What the log gives out, read by `golang.org/x/mod/sumdb` (`tests/peer/audit.go`).

use std::process::Command;

use codegenie_security::{AuditEvent, AuditLog, AuditReader, AuditSink, EventClass};

use super::{Fixture, event, key};

#[test]
#[ignore = "needs Go and golang-golang-x-mod-dev"]
fn go_opens_the_checkpoint_and_checks_records_growth_and_tiles() {
    let fixture = Fixture::new(&[300]);
    let dir = fixture.path.parent().unwrap();
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    let identity = reader.identity().unwrap().clone();
    std::fs::copy(fixture.path.join("checkpoint"), dir.join("checkpoint.old")).unwrap();
    std::fs::write(dir.join("verifier.old"), reader.prove(0).unwrap().signer(&identity).unwrap().to_string())
        .unwrap();

    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    (300..340).for_each(|number| log.record(&event(number)).unwrap());
    log.shred("nobody else").unwrap();
    log.record(&AuditEvent::new(EventClass::Command, "execute", "by nobody")).unwrap();
    log.rotate().unwrap();
    log.record(&event(340)).unwrap();
    drop(log);
    reader.write_tiles().unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let records: Vec<String> = (0..342)
        .step_by(13)
        .chain([341])
        .map(|number| {
            let proof = reader.prove(number).unwrap();
            let logged = proof.logged();
            let path: String = logged.path().hashes().iter().map(|hash| format!(" {hash}")).collect();
            format!("{} {}{path}", logged.index(), hex(&proof.entry().unwrap()))
        })
        .collect();
    std::fs::write(dir.join("verifier"), reader.prove(341).unwrap().signer(&identity).unwrap().to_string())
        .unwrap();
    std::fs::write(dir.join("records"), records.join("\n")).unwrap();

    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/audit.go");
    let output = Command::new("go")
        .args(["run", program])
        .arg(dir)
        // Debian keeps the sources of libraries there.
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "")])
        .env("GOCACHE", dir.join("cache"))
        .output()
        .expect("go runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    // A leaf for each record, each of its frames, and each header.
    assert_eq!(said, "687 leaves, 28 records\n");
}
