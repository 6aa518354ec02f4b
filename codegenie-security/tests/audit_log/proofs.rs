//! Proofs of single records, and tiles, for those who have neither the log nor its keys.

use codegenie_security::tlog::{Checkpoint, InclusionProof, Note, TileHashes, leaf_hash};
use codegenie_security::{AuditLog, AuditLogError, AuditReader, RecordProof, RecordProofError};

use super::{Fixture, key, resources};

#[test]
fn each_record_is_proved_and_no_other() {
    let fixture = Fixture::new(&[3, 1, 4]);
    let identity = AuditLog::verify(&fixture.path, &key()).unwrap().identity().unwrap().clone();
    let stranger = AuditLog::verify(&Fixture::new(&[1]).path, &key()).unwrap().identity().unwrap().clone();
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    let proofs: Vec<_> = (0..8).map(|number| reader.prove(number).unwrap()).collect();
    for (proof, resource) in proofs.iter().zip(resources(&fixture.path)) {
        let sent = proof.to_string();
        let received = RecordProof::parse(sent.as_bytes()).unwrap();
        assert_eq!(received, *proof);
        let checkpoint = received.verify(&identity).unwrap();
        assert_eq!(received.event().unwrap().event.resource, resource);
        assert_eq!(checkpoint.head(), AuditLog::verify(&fixture.path, &key()).unwrap().head().unwrap());
        assert_eq!(received.verify(&stranger), Err(RecordProofError::NotCertified));
    }
    let error = reader.prove(8).unwrap_err();
    assert!(matches!(error, AuditLogError::NoSuchRecord { sequence: 8, records: 8, .. }), "{error}");
}

#[test]
fn a_proof_with_any_flipped_bit_is_refused() {
    let fixture = Fixture::new(&[3, 2]);
    let identity = AuditLog::verify(&fixture.path, &key()).unwrap().identity().unwrap().clone();
    let proof = AuditReader::open(&fixture.path, &key()).unwrap().prove(3).unwrap();
    let sent = proof.to_string().into_bytes();
    let event = proof.event().unwrap().event.clone();
    for place in 0..sent.len() {
        for bit in 0..8 {
            let mut altered = sent.clone();
            altered[place] ^= 1 << bit;
            let Ok(proof) = RecordProof::parse(&altered) else { continue };
            // The number is the log's claim, and no part of what is proved.
            let believed = proof.verify(&identity).is_ok();
            let same = proof.event().is_some_and(|stored| stored.event == event);
            assert!(!believed || same, "byte {place} bit {bit}");
        }
    }
}

/// A client that knows tiles and nothing of this log.
#[test]
fn tiles_prove_what_the_log_proves() {
    let fixture = Fixture::new(&[300, 5]);
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    let size = reader.write_tiles().unwrap();
    assert!(AuditLog::verify_public(&fixture.path, None, &[]).unwrap().is_intact());
    let note = Note::parse(&std::fs::read(fixture.path.join("checkpoint")).unwrap()).unwrap();
    let proof = reader.prove(301).unwrap();
    let identity = reader.identity().unwrap();
    let signer = proof.signer(identity).unwrap();
    let head = Checkpoint::open(&note, signer.name(), &signer).unwrap().head();
    assert_eq!(head.size, size);
    let tiles = TileHashes::new(size, |path| std::fs::read(fixture.path.join(path.to_string())));
    let index = proof.logged().index();
    let path = InclusionProof::make(&tiles, size, index).unwrap();
    path.verify(index, &leaf_hash(&proof.entry().unwrap()), &head).unwrap();
    assert_eq!(path, *proof.logged().path());
}

/// Whoever passes a proof on can cut off what opens the leaf: it then shows a leaf, and no event.
#[test]
fn a_proof_whose_opening_was_cut_off_shows_no_event() {
    let fixture = Fixture::new(&[2]);
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    let proof = reader.prove(1).unwrap();
    let extra = proof.logged().unverified_extra_data();
    // The version, the epoch, the certificate with its length, and the leaf.
    let certificate = usize::from(u16::from_le_bytes([extra[9], extra[10]]));
    let cut = proof.logged().clone().extra_data(extra[..11 + certificate + 32].to_vec());
    let cut = RecordProof::parse(cut.to_string().as_bytes()).unwrap();
    cut.verify(reader.identity().unwrap()).unwrap();
    assert!(cut.event().is_none() && cut.entry().is_none());
}
