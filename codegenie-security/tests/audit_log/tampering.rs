//! Whatever is done to the files of a log, it is seen, with a key and without.

use std::path::{Path, PathBuf};

use codegenie_security::{
    AuditLog, AuditLogError, AuditLogOptions, AuditReader, AuditSink, FaultKind, Identity, RecipientKind,
    Verification,
};

use codegenie_security::tlog::NoteVerifier;

use super::{Files, Fixture, event, files, key, put};

/// A small log of three segments, with tiles and indexes, and its files.
fn small() -> (Fixture, Files, NoteVerifier) {
    let fixture = Fixture::new(&[2, 1, 2]);
    AuditReader::open(&fixture.path, &key()).unwrap().write_tiles().unwrap();
    let identity = AuditLog::verify(&fixture.path, &key()).unwrap().identity().unwrap().clone();
    let original = files(&fixture.path);
    (fixture, original, identity)
}

fn both(path: &Path, identity: &NoteVerifier) -> [Verification; 2] {
    [
        AuditReader::open(path, &key()).unwrap().verify(&[]).unwrap(),
        AuditLog::verify_public(path, Some(identity), &[]).unwrap(),
    ]
}

fn kinds(path: &Path, identity: &NoteVerifier) -> [Option<FaultKind>; 2] {
    both(path, identity).map(|verification| verification.fault().map(|fault| fault.kind()))
}

/// Flips bits of every file, and sees that nobody without a key believes it. Returns how many.
fn flip(path: &Path, identity: &NoteVerifier, pick: impl Fn(&Path, usize, usize) -> bool) -> usize {
    let original = files(path);
    let mut flips = 0;
    for (name, bytes) in &original {
        let file = path.join(name);
        for place in 0..bytes.len() {
            for bit in (0..8).filter(|bit| pick(name, place, *bit)) {
                let mut altered = bytes.clone();
                altered[place] ^= 1 << bit;
                std::fs::write(&file, &altered).unwrap();
                let public = AuditLog::verify_public(path, Some(identity), &[]);
                let public =
                    public.unwrap_or_else(|error| panic!("{name:?} byte {place} bit {bit}: {error}"));
                assert!(!public.is_intact(), "{name:?} byte {place} bit {bit} was not noticed: {public}");
                flips += 1;
            }
        }
        std::fs::write(&file, bytes).unwrap();
    }
    assert!(AuditLog::verify_public(path, Some(identity), &[]).unwrap().is_intact());
    flips
}

#[test]
fn every_flipped_bit_of_a_small_log_is_seen() {
    // A reader whose wrapped key is short.
    let auditor = Identity::generate(RecipientKind::X25519).unwrap();
    let options = AuditLogOptions::new().auditor(auditor.recipient_key()).without_own_reader();
    let fixture = Fixture::with(options, &[2]);
    let identity = AuditLog::verify_public(&fixture.path, None, &[]).unwrap().identity().unwrap().clone();
    std::fs::remove_dir_all(fixture.path.join("index")).unwrap();
    let flips = flip(&fixture.path, &identity, |_, _, _| true);
    assert!(flips > 8 * 1_000, "{flips}");
}

#[test]
fn a_flipped_bit_of_any_file_of_a_larger_log_is_seen() {
    let (fixture, original, identity) = small();
    assert!(both(&fixture.path, &identity).iter().all(Verification::is_intact));
    assert!(original.keys().any(|name| name.starts_with("tile")), "{:?}", original.keys());
    assert!(original.keys().any(|name| name.starts_with("index")), "{:?}", original.keys());
    let flips = flip(&fixture.path, &identity, |_, place, bit| place % 7 == 0 && bit == place % 8);
    assert!(flips > 1_000, "{flips}");
}

/// With the key as well, and the log is then neither read to its end nor opened nor repaired.
#[test]
fn a_flipped_byte_keeps_a_log_from_being_read_and_written() {
    let (fixture, original, _) = small();
    for (name, bytes) in &original {
        let derived = name.starts_with("tile") || name.starts_with("index");
        if name == Path::new("lock") || derived {
            continue;
        }
        let path = fixture.path.join(name);
        for place in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
            let mut altered = bytes.clone();
            altered[place] ^= 0x40;
            std::fs::write(&path, &altered).unwrap();
            let verification = AuditLog::verify(&fixture.path, &key()).unwrap();
            assert!(verification.fault().is_some(), "{name:?} byte {place}: {verification}");
            let opened = AuditLog::open(&fixture.path, &key());
            assert!(
                matches!(opened, Err(AuditLogError::Tampered { .. })),
                "{name:?} byte {place}: {opened:?}"
            );
            let last =
                AuditLog::read(&fixture.path, &key()).map_or_else(Err, |records| records.last().unwrap());
            assert!(matches!(last, Err(AuditLogError::Tampered { .. })), "{name:?} byte {place}: {last:?}");
            assert_eq!(std::fs::read(&path).unwrap(), altered, "{name:?}: repaired away");
        }
        std::fs::write(&path, bytes).unwrap();
    }
}

/// Where the frames of a segment begin, and its end.
fn frames(segment: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some(prefix) = segment.get(*starts.last().unwrap()..).filter(|rest| rest.len() >= 8) {
        let length = u32::from_le_bytes(prefix[..4].try_into().unwrap()) as usize;
        starts.push(starts.last().unwrap() + 8 + length);
    }
    starts
}

#[test]
fn deleted_swapped_and_repeated_frames_are_found_at_their_place() {
    let fixture = Fixture::new(&[4]);
    let identity = AuditLog::verify(&fixture.path, &key()).unwrap().identity().unwrap().clone();
    let path = fixture.path.join("segments/0000000000");
    let bytes = std::fs::read(&path).unwrap();
    let starts = frames(&bytes);
    let frame = |number: usize| &bytes[starts[number]..starts[number + 1]];
    let (header, [a, b, c, d]) = (frame(0), [1, 2, 3, 4].map(frame));
    let fault = |frames: &[&[u8]]| {
        std::fs::write(&path, [&[header], frames].concat().concat()).unwrap();
        let [with_key, public] = both(&fixture.path, &identity);
        assert_eq!(with_key.fault(), public.fault());
        let fault = public.fault().unwrap_or_else(|| panic!("{public}")).clone();
        (fault.kind(), fault.sequence(), fault.offset() as usize)
    };
    let out = FaultKind::FrameOutOfPlace;
    assert_eq!(fault(&[b, c, d]), (out, 0, starts[1]), "first deleted");
    assert_eq!(fault(&[a, c, d]), (out, 1, starts[2]), "second deleted");
    assert_eq!(fault(&[a, b, d]), (out, 2, starts[3]), "third deleted");
    assert_eq!(fault(&[b, a, c, d]), (out, 0, starts[1]), "first two swapped");
    assert_eq!(fault(&[a, b, d, c]), (out, 2, starts[3]), "last two swapped");
    assert_eq!(fault(&[a, b, b, c, d]), (out, 2, starts[3]), "second repeated");
    assert_eq!(fault(&[a, b, c, d, d]), (out, 4, starts[5]), "last repeated");
    assert_eq!(fault(&[a, b, c, d, header]), (FaultKind::FrameOutOfPlace, 4, starts[5]), "header repeated");
    let cut = FaultKind::RecordsMissing;
    assert_eq!(fault(&[a, b, c]), (cut, 3, starts[4]), "last deleted");
    assert_eq!(fault(&[]), (cut, 0, starts[1]), "all deleted");
}

#[test]
fn a_cut_tail_is_found_wherever_it_is_cut() {
    let fixture = Fixture::new(&[1, 3]);
    let identity = AuditLog::verify(&fixture.path, &key()).unwrap().identity().unwrap().clone();
    let path = fixture.path.join("segments/0000000001");
    let bytes = std::fs::read(&path).unwrap();
    for len in (0..bytes.len()).step_by(23).chain(frames(&bytes).into_iter().filter(|end| *end < bytes.len()))
    {
        std::fs::write(&path, &bytes[..len]).unwrap();
        for verification in both(&fixture.path, &identity) {
            assert!(verification.fault().is_some(), "cut at {len}: {verification}");
            assert!(verification.records() <= 4, "cut at {len}: {verification}");
        }
        let opened = AuditLog::open(&fixture.path, &key());
        assert!(matches!(opened, Err(AuditLogError::Tampered { .. })), "cut at {len}: {opened:?}");
        assert_eq!(std::fs::read(&path).unwrap().len(), len, "cut at {len}: repaired away");
    }
}

#[test]
fn a_missing_file_is_found() {
    let (fixture, original, identity) = small();
    for name in original.keys() {
        let name = name.to_str().unwrap();
        // What is derived may be gone, and is made again.
        if name == "lock" || name.starts_with("tile") || name.starts_with("index") {
            continue;
        }
        std::fs::remove_file(fixture.path.join(name)).unwrap();
        for kind in kinds(&fixture.path, &identity) {
            assert!(kind.is_some(), "{name} is missing, and nobody noticed");
        }
        let opened = AuditLog::open(&fixture.path, &key());
        assert!(matches!(opened, Err(AuditLogError::Tampered { .. })), "{name}: {opened:?}");
        put(&fixture.path, &original);
    }
    std::fs::remove_dir_all(fixture.path.join("tile")).unwrap();
    std::fs::remove_dir_all(fixture.path.join("index")).unwrap();
    assert_eq!(kinds(&fixture.path, &identity), [None, None]);
}

#[test]
fn a_strange_file_among_the_segments_is_found() {
    let (fixture, _, identity) = small();
    let path = fixture.path.join("segments/0000000001.copy");
    std::fs::write(&path, "x").unwrap();
    assert_eq!(kinds(&fixture.path, &identity), [Some(FaultKind::StrangeFile); 2]);
    std::fs::remove_file(path).unwrap();
    std::fs::write(fixture.path.join("segments/0000000007"), "").unwrap();
    assert_eq!(kinds(&fixture.path, &identity), [Some(FaultKind::SegmentMissing); 2]);
}

/// Files of another log, and of another time of this one.
#[test]
fn files_put_back_from_elsewhere_are_found() {
    let (fixture, newer, identity) = small();
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    log.record(&event(5)).unwrap();
    drop(log);
    let newest = files(&fixture.path);
    let (other, others, _) = small();
    drop(other);
    let replace = |name: &str, from: &Files| {
        put(&fixture.path, &newest);
        std::fs::write(fixture.path.join(name), &from[Path::new(name)]).unwrap();
        kinds(&fixture.path, &identity)
    };
    for number in 0..3 {
        let name = format!("segments/000000000{number}");
        for kind in replace(&name, &others) {
            assert!(kind.is_some(), "{name} of another log");
        }
    }
    assert_eq!(replace("log", &others), [Some(FaultKind::AnotherLog); 2]);
    assert_eq!(replace("checkpoint", &others), [Some(FaultKind::CheckpointAltered); 2]);
    assert_eq!(replace("segments/0000000001.subjects", &others)[0], Some(FaultKind::SubjectAltered));
    // An older checkpoint of the same log, signed in the epoch before.
    assert_eq!(replace("checkpoint", &newer), [Some(FaultKind::CheckpointAltered); 2]);
    // And the last segment cut back to it: in public it looks whole, as the documentation says. The keys know better.
    let last = fixture.path.join("segments/0000000003");
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..frames(&bytes)[1]]).unwrap();
    assert_eq!(kinds(&fixture.path, &identity), [Some(FaultKind::RolledBack), None]);
    assert!(matches!(AuditLog::open(&fixture.path, &key()), Err(AuditLogError::Tampered { .. })));
    for name in ["segments/0000000003", "segments/0000000003.subjects", "index/0000000003"] {
        std::fs::remove_file(fixture.path.join(name)).unwrap();
    }
    assert_eq!(kinds(&fixture.path, &identity), [Some(FaultKind::RolledBack), None]);
    assert!(matches!(AuditLog::open(&fixture.path, &key()), Err(AuditLogError::Tampered { .. })));

    // All of another log: only who knows the identity sees it.
    put(&fixture.path, &others);
    assert!(AuditLog::verify_public(&fixture.path, None, &[]).unwrap().is_intact());
    assert_eq!(kinds(&fixture.path, &identity), [Some(FaultKind::AnotherLog); 2]);
    assert!(matches!(AuditLog::open(&fixture.path, &key()), Err(AuditLogError::Tampered { .. })));

    // Two segments of this log swapped.
    put(&fixture.path, &newest);
    let [one, two] = ["segments/0000000001", "segments/0000000002"].map(|name| fixture.path.join(name));
    let swapped: [PathBuf; 2] = [one.clone(), two.clone()];
    let bytes = swapped.each_ref().map(|path| std::fs::read(path).unwrap());
    std::fs::write(&one, &bytes[1]).unwrap();
    std::fs::write(&two, &bytes[0]).unwrap();
    assert!(kinds(&fixture.path, &identity).iter().all(Option::is_some));
}

/// The whole directory of an earlier time, with its keys: what only an anchor shows. Without the keys, they show it.
#[test]
fn an_older_log_does_not_fit_its_keys() {
    let fixture = Fixture::new(&[2]);
    let older = files(&fixture.path);
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    log.record(&event(2)).unwrap();
    log.rotate().unwrap();
    drop(log);
    put(&fixture.path, &older);
    assert!(
        AuditLog::verify_public(&fixture.path, None, &[]).unwrap().is_intact(),
        "by itself it looks fine"
    );
    let verification = AuditLog::verify(&fixture.path, &key()).unwrap();
    assert_eq!(verification.fault().unwrap().kind(), FaultKind::RolledBack);
    let opened = AuditLog::open(&fixture.path, &key());
    let Err(AuditLogError::Tampered { fault, .. }) = opened else { panic!("{opened:?}") };
    assert_eq!(fault.kind(), FaultKind::SegmentMissing);
}

/// All of the segment after a rotation taken away, and the checkpoint put back that ended the one before: as a crash would leave
/// it in the middle of the rotation, but that the keys know the new epoch to be signed.
#[test]
fn a_log_that_was_cut_back_to_before_a_rotation_does_not_fit_its_keys() {
    for records_after in [0, 1] {
        let fixture = Fixture::new(&[]);
        let log = AuditLog::open(&fixture.path, &key()).unwrap();
        log.record(&event(0)).unwrap();
        let closing = std::fs::read(fixture.path.join("checkpoint")).unwrap();
        log.rotate().unwrap();
        (0..records_after).for_each(|number| log.record(&event(1 + number)).unwrap());
        drop(log);
        for name in files(&fixture.path).keys().filter(|name| name.to_str().unwrap().contains("/0000000001"))
        {
            std::fs::remove_file(fixture.path.join(name)).unwrap();
        }
        std::fs::write(fixture.path.join("checkpoint"), closing).unwrap();
        assert!(AuditLog::verify_public(&fixture.path, None, &[]).unwrap().is_intact());
        let verification = AuditLog::verify(&fixture.path, &key()).unwrap();
        assert_eq!(verification.fault().map(|fault| fault.kind()), Some(FaultKind::RolledBack));
        let opened = AuditLog::open(&fixture.path, &key());
        let Err(AuditLogError::Tampered { fault, .. }) = opened else { panic!("{opened:?}") };
        assert_eq!(fault.kind(), FaultKind::SegmentMissing);
    }
}
