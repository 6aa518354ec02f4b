//! What we write, read by `golang.org/x/mod/sumdb` (`tests/peer/main.go`), and the other way round.

use std::fs;
use std::path::Path;
use std::process::Command;

use codegenie_security::SigningKey;
use codegenie_security::tlog::{
    Checkpoint, ConsistencyProof, EntryBundle, HashTile, InclusionProof, LoggedProof, Note, NoteSigner,
    NoteVerifier, TileLevel, TilePath,
};

use crate::{entry, head, log, signer};

/// The only origin that Go's parser takes.
const ORIGIN: &str = "go.sum database tree";
const OLD: u64 = 65_601;
/// The tree that tlog-tiles counts the tiles of.
const NEW: u64 = 70_000;

fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
#[ignore = "needs Go and golang-golang-x-mod-dev"]
fn go_reads_what_we_write_and_we_read_what_it_writes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let log = log(NEW);
    let stranger = NoteSigner::new("unknown.example", SigningKey::from_seed([8; 32])).unwrap();
    let checkpoint = |size| {
        let mut note = Checkpoint::new(ORIGIN, head(&log, size)).unwrap().sign(&signer()).unwrap();
        note.add_signature(&stranger).unwrap();
        note
    };
    write(dir, "verifier", signer().verifier().to_string());
    write(dir, "signer", signer().to_text().expose());
    write(dir, "checkpoint.old", checkpoint(OLD).to_string());
    write(dir, "checkpoint", checkpoint(NEW).to_string());

    let mut tiles = String::new();
    for path in TilePath::new_between(0, NEW) {
        let name = path.to_string();
        if path.level() != TileLevel::Entries {
            write(dir, &name, HashTile::read(&log, path).unwrap().to_bytes());
            tiles += &format!("{name}\n");
            continue;
        }
        let mut bundle = EntryBundle::new();
        for place in 0..u64::from(path.width()) {
            bundle.push(&entry(path.index() * 256 + place)).unwrap();
        }
        write(dir, &name, bundle.as_bytes());
    }
    write(dir, "tiles", tiles);

    for index in (0..NEW).step_by(1_777).chain([1, 255, 256, 65_535, 65_536, NEW - 2, NEW - 1]) {
        let path = InclusionProof::make(&log, NEW, index).unwrap();
        let proof = LoggedProof::new(index, path, checkpoint(NEW));
        write(dir, &format!("inclusion/{index}.tlog-proof"), proof.to_string());
    }
    for old in (1..NEW).step_by(1_777).chain([2, 255, 256, 257, 65_536, OLD, NEW - 1, NEW]) {
        let proof = ConsistencyProof::make(&log, old, NEW).unwrap();
        let hashes: String = proof.hashes().iter().map(|hash| format!("{hash}\n")).collect();
        write(dir, &format!("consistency/{old}"), format!("{old}\n{}\n{hashes}", head(&log, old).root));
    }

    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/main.go");
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
    assert_eq!(said, "70000 entries, 277 tiles, 47 inclusions, 48 growths\n");

    let note = Note::parse(&fs::read(dir.join("go.note")).unwrap()).unwrap();
    let keys = fs::read_to_string(dir.join("go.keys")).unwrap();
    let (secret, public) = keys.trim_end().split_once('\n').unwrap();
    let public: NoteVerifier = public.parse().unwrap();
    let secret = NoteSigner::from_text(secret).unwrap();
    assert_eq!(secret.verifier(), public);
    for key in [&signer().verifier(), &public] {
        assert_eq!(Checkpoint::open(&note, ORIGIN, key).unwrap().head(), log.tree().head());
    }
    let mut ours = Note::sign(note.unverified_text(), &signer()).unwrap();
    ours.add_signature(&secret).unwrap();
    assert_eq!(ours, note);
}
