//! Proofs of what is kept, where retention has removed what was before it.

use std::sync::{Arc, Mutex};

use codegenie_security::tlog::{ConsistencyProof, Hash, InclusionProof, TreeHead};
use codegenie_security::{
    Anchor, AnchorError, AnchorUpdate, AnchoredCheckpoint, AuditLog, AuditLogError, AuditLogOptions,
    AuditReader, AuditSink, RecordProof, RetentionPolicy,
};
use ct_merkle::{InclusionProof as PeerInclusion, RootHash};
use sha2::Sha256;

use super::{Fixture, event, files, key, put};

fn options() -> AuditLogOptions {
    AuditLogOptions::new().segment_bytes(3_000).retention(RetentionPolicy::forever().max_bytes(9_000))
}

fn record(log: &AuditLog, range: std::ops::Range<u64>) {
    range.for_each(|number| log.record(&event(number)).unwrap());
}

#[test]
fn what_is_kept_is_proved_and_what_is_gone_is_refused() {
    let fixture = Fixture::new(&[]);
    let log = options().open(&fixture.path, &key()).unwrap();
    record(&log, 0..60);
    let (identity, head) = (log.identity(), log.head());
    drop(log);
    let first = AuditLog::verify(&fixture.path, &key()).unwrap().first_record();
    assert!(first > 20, "nothing was removed: {first}");

    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    for sequence in 0..first {
        let error = reader.prove(sequence).unwrap_err();
        assert!(matches!(error, AuditLogError::Pruned { kept_from, .. } if kept_from == first), "{error}");
    }
    assert!(matches!(reader.prove(60), Err(AuditLogError::NoSuchRecord { sequence: 60, records: 60, .. })));
    for sequence in first..60 {
        let proof = reader.prove(sequence).unwrap();
        let proof = RecordProof::parse(proof.to_string().as_bytes()).unwrap();
        assert_eq!(proof.verify(&identity).unwrap().head(), head);
        assert_eq!(proof.event().unwrap().event.resource, event(sequence).resource);
        let (index, entry) = (proof.logged().index(), proof.entry().unwrap());
        assert!(peer_believes(proof.logged().path(), index, &entry, &head));

        // Another record, another hash.
        let mut altered = entry.clone();
        altered[20] ^= 1;
        assert!(!peer_believes(proof.logged().path(), index, &altered, &head));
        for place in 0..proof.logged().path().hashes().len() {
            let mut hashes = proof.logged().path().hashes().to_vec();
            hashes[place] = flipped(&hashes[place]);
            let path = InclusionProof::from_hashes(hashes);
            assert!(path.verify(index, &proof.leaf(), &head).is_err());
            assert!(!peer_believes(&path, index, &entry, &head));
        }
    }
    assert!(matches!(reader.write_tiles(), Err(AuditLogError::Pruned { .. })));
}

/// A state of the tree that leads elsewhere is no ground for a proof.
#[test]
fn a_header_that_was_altered_proves_nothing() {
    let fixture = Fixture::new(&[]);
    let log = options().open(&fixture.path, &key()).unwrap();
    record(&log, 0..60);
    drop(log);
    let original = files(&fixture.path);
    let mut segments: Vec<_> = original.keys().filter(|name| name.starts_with("segments")).collect();
    segments.retain(|name| name.extension().is_none());
    let last = segments.pop().unwrap().clone();
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    assert!(reader.prove(59).is_ok());
    // The header, with the log's id, its first record and the tree; then two of them in each other's place.
    for place in (0..600).step_by(7) {
        let mut altered = original.clone();
        altered.get_mut(&last).unwrap()[place] ^= 0x10;
        put(&fixture.path, &altered);
        assert!(matches!(reader.prove(59), Err(AuditLogError::Tampered { .. })), "byte {place}");
    }
    let mut swapped = original.clone();
    let (other, bytes) = (segments[0].clone(), original[&last].clone());
    swapped.insert(last, original[&other].clone());
    swapped.insert(other, bytes);
    put(&fixture.path, &swapped);
    assert!(matches!(reader.prove(59), Err(AuditLogError::Tampered { .. })));
}

fn flipped(hash: &Hash) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[31] ^= 1;
    Hash::from_bytes(bytes)
}

fn peer_root(head: &TreeHead) -> RootHash<Sha256> {
    RootHash::new((*head.root.as_bytes()).into(), head.size)
}

fn concat(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.as_bytes()).copied().collect()
}

fn peer_believes(path: &InclusionProof, index: u64, entry: &[u8], head: &TreeHead) -> bool {
    let proof = PeerInclusion::<Sha256>::try_from_bytes(concat(path.hashes())).unwrap();
    peer_root(head).verify_inclusion(&entry.to_vec(), index, &proof).is_ok()
}

/// The older tree, the later one, and what came of the question.
type Asked = (TreeHead, TreeHead, Result<ConsistencyProof, String>);

/// Asks for the proof from each checkpoint that it was told before.
#[derive(Default)]
struct Proofs {
    heads: Mutex<Vec<TreeHead>>,
    proofs: Mutex<Vec<Asked>>,
}

impl Anchor for Proofs {
    fn publish(&self, update: &AnchorUpdate<'_>) -> Result<(), AnchorError> {
        let text = update.checkpoint().checkpoint().unverified_text();
        let checkpoint: codegenie_security::tlog::Checkpoint = text.parse().unwrap();
        let mut heads = self.heads.lock().unwrap();
        for old in heads.iter() {
            let proof = update.consistency(old.size).map_err(|error| error.to_string());
            self.proofs.lock().unwrap().push((*old, checkpoint.head(), proof));
        }
        heads.push(checkpoint.head());
        Ok(())
    }

    fn latest(&self) -> Result<Option<AnchoredCheckpoint>, AnchorError> {
        Ok(None)
    }
}

#[test]
fn growth_is_proved_from_every_size_that_is_kept() {
    let fixture = Fixture::new(&[]);
    let anchor = Arc::new(Proofs::default());
    let log = options().anchor(anchor.clone()).anchor_interval(std::time::Duration::ZERO);
    let log = log.open(&fixture.path, &key()).unwrap();
    for number in 0..60 {
        log.record(&event(number)).unwrap();
        log.flush_anchors();
    }
    drop(log);
    let note = std::fs::read_to_string(fixture.path.join("pruned")).unwrap();
    let kept_from: u64 = note.lines().nth(3).unwrap().parse().unwrap();
    let last = anchor.heads.lock().unwrap().last().copied().unwrap();
    let proofs = anchor.proofs.lock().unwrap();
    let (mut proved, mut refused) = (0, 0);
    for (old, new, proof) in proofs.iter() {
        match proof {
            Ok(proof) => {
                proof.verify(old, new).unwrap();
                if old.size < new.size {
                    let bytes = concat(proof.hashes());
                    let peer = ct_merkle::ConsistencyProof::<Sha256>::try_from_bytes(bytes).unwrap();
                    peer_root(new).verify_consistency(&peer_root(old), &peer).unwrap();
                }
                let forged = TreeHead { size: old.size, root: flipped(&old.root) };
                assert!(proof.verify(&forged, new).is_err());
                proved += u64::from(new.size == last.size);
            }
            Err(reason) => {
                assert!(old.size < kept_from, "{} of {kept_from}: {reason}", old.size);
                assert!(reason.contains("retention"), "{reason}");
                refused += 1;
            }
        }
    }
    assert!(proved > 3 && refused > 100, "{proved} {refused}");
}
