//! Segments written by hand, by somebody who has keys: of another epoch, at another time, behind the last checkpoint.

use std::path::Path;
use std::time::Duration;

use super::super::epoch::{Epoch, certify};
use super::super::frame::{FrameBuilder, FrameKeys, FrameRange, RecordFrame};
use super::super::header::Header;
use super::super::keys::{EpochState, LogIdentity};
use super::super::writer::sign;
use super::super::{codec, frame, layout, *};
use super::crash_disk::{CrashDisk, Dice};
use super::power_cuts::{auditor, host, open, options, reader, resources};
use crate::tlog::Tree;
use crate::{AuditEvent, EventClass};

/// A segment as it is written.
struct Pen {
    segment: u64,
    epoch: Epoch,
    keys: FrameKeys,
    origin: String,
    tree: Tree,
    records: u64,
    bytes: Vec<u8>,
}

impl Pen {
    /// Begins the segment that a header tells of, in an epoch and signed by it.
    fn begin(mut header: Header, epoch: Epoch, origin: &str) -> Self {
        let read = epoch.read_key();
        let reader = auditor().recipient_key();
        header.readers = vec![Header::wrap(&header.log_id, header.segment, &read, &reader).unwrap()];
        let bytes = header.to_frame(&epoch.signing_key()).unwrap();
        let mut tree = header.tree.clone();
        tree.append(frame::frame_leaf(&bytes)).unwrap();
        let keys = FrameKeys::derive(&read, header.log_id, header.segment, &header.salt);
        let (segment, origin, records) = (header.segment, origin.to_owned(), header.first);
        Self { segment, epoch, keys, origin, tree, records, bytes }
    }

    /// A frame of one event, which follows this root.
    fn frame(&self, keys: &FrameKeys, time: Duration, before: &crate::tlog::Hash) -> Vec<u8> {
        let mut buffer = Vec::new();
        let mut builder = FrameBuilder::new(keys, &mut buffer, self.records, 1, 0, time).unwrap();
        let event = AuditEvent::new(EventClass::Command, "execute", self.records.to_string());
        builder.push(&codec::encode(&event).unwrap(), None);
        builder.seal(0, before).unwrap().0.to_vec()
    }

    /// Adds a commit that was made so many seconds after 1970.
    fn commit(&mut self, seconds: f64) {
        let frame = self.frame(&self.keys, Duration::from_secs_f64(seconds), &self.tree.root());
        let parsed = RecordFrame::parse(&frame).unwrap();
        let leaves = parsed.record_leaves().chain([frame::frame_leaf(&frame)]);
        leaves.for_each(|leaf| self.tree.append(leaf).map(drop).unwrap());
        self.records += 1;
        self.bytes.extend_from_slice(&frame);
    }

    /// The checkpoint of what is written so far.
    fn checkpoint(&self) -> Vec<u8> {
        let signer = self.epoch.signer(&self.origin).unwrap();
        sign(&self.origin, self.tree.head(), &signer).unwrap().to_string().into_bytes()
    }

    fn put(&self, disk: &CrashDisk) {
        disk.put(&layout::segment(self.segment), &self.bytes);
        disk.put(layout::CHECKPOINT, &self.checkpoint());
    }
}

fn header(disk: &CrashDisk, segment: u64) -> Header {
    let bytes = disk.read(&layout::segment(segment)).unwrap().unwrap();
    Header::parse(frame::frame_at(&bytes, 0).unwrap().bytes(&bytes)).unwrap()
}

fn keys_of(keys: &CrashDisk) -> KeyStore {
    KeyStore::new(Box::new(keys.clone()), Path::new("audit.keys"), &host())
}

fn fault(error: AuditLogError) -> Fault {
    match error {
        AuditLogError::Tampered { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

/// A log of so many segments with two records each, and its name.
fn written(segments: u64) -> (CrashDisk, CrashDisk, String) {
    let (disk, keys) = (CrashDisk::default(), CrashDisk::default());
    let mut origin = String::new();
    for segment in 0..segments {
        let log = open(&disk, &keys, options()).unwrap();
        origin = log.origin().to_owned();
        for number in [2 * segment, 2 * segment + 1] {
            log.record(&AuditEvent::new(EventClass::Command, "execute", number.to_string())).unwrap();
        }
    }
    (disk, keys, origin)
}

/// A thief of the process in epoch 3 has its keys, and the certificate of them. He writes the past anew from a segment on: with
/// the numbers of the segments that he replaces, each header, frame and checkpoint signed and sealed as it should be, but by
/// the only epoch that he has.
#[test]
fn a_segment_that_a_later_epoch_signed_anew_is_refused() {
    for victim in 0..3 {
        let (disk, keys, origin) = written(4);
        let EpochState { epoch, .. } = keys_of(&keys).epoch().unwrap().unwrap();
        assert_eq!(epoch.number, 3);
        let certificate = header(&disk, 3).certificate;
        let mut before: Option<Pen> = None;
        for segment in victim..4 {
            let mut header = header(&disk, segment);
            header.certificate.clone_from(&certificate);
            if let Some(before) = &before {
                (header.tree, header.first, header.closing) =
                    (before.tree.clone(), before.records, before.checkpoint());
            }
            let mut pen = Pen::begin(header, epoch.same(), &origin);
            (0..2).for_each(|_| pen.commit(1e9));
            pen.put(&disk);
            before = Some(pen);
        }
        let identity = keys_of(&keys).identity().unwrap().unwrap().verifier().unwrap();
        let means = Means { identity: Some(&identity), ..Means::default() };
        let public = verify::verify(&disk, Path::new("audit"), &means).unwrap();
        let found = [
            public.fault().unwrap_or_else(|| panic!("believed without a key: {public}")).clone(),
            reader(&disk).verify(&[]).unwrap().fault().expect("believed with a key").clone(),
            fault(open(&disk, &keys, options()).expect_err("opened")),
        ];
        for fault in found {
            let found = (fault.kind(), fault.sequence(), fault.file().to_owned());
            assert_eq!(found, (FaultKind::CertificateRefused, 2 * victim, layout::segment(victim)));
        }
    }
}

/// A log of one segment without its ending: what comes behind is as if a crash had come before its checkpoint. With the pen
/// that can go on where it ends.
fn unfinished() -> (CrashDisk, CrashDisk, Pen) {
    let (disk, keys, origin) = written(1);
    let EpochState { epoch, .. } = keys_of(&keys).epoch().unwrap().unwrap();
    let (bytes, header) = (disk.read(&layout::segment(0)).unwrap().unwrap(), header(&disk, 0));
    let keys_of_frames = FrameKeys::derive(&epoch.read_key(), header.log_id, 0, &header.salt);
    let mut tree = header.tree.clone();
    for range in frames(&bytes) {
        let frame = range.bytes(&bytes);
        let leaves = RecordFrame::parse(frame).map(|frame| frame.record_leaves().collect::<Vec<_>>());
        let leaves = leaves.unwrap_or_default().into_iter().chain([frame::frame_leaf(frame)]);
        leaves.for_each(|leaf| tree.append(leaf).map(drop).unwrap());
    }
    let pen = Pen { segment: 0, epoch, keys: keys_of_frames, origin, tree, records: 2, bytes };
    assert_eq!(pen.checkpoint(), disk.read(layout::CHECKPOINT).unwrap().unwrap());
    (disk, keys, pen)
}

fn frames(bytes: &[u8]) -> Vec<FrameRange> {
    let after = |end| frame::frame_at(bytes, end);
    std::iter::successors(after(0), |range| after(range.end)).collect()
}

/// A frame with its checksum made right again.
fn altered(frame: &[u8], place: usize, by: &[u8]) -> Vec<u8> {
    let mut body = frame[frame::PREFIX_LEN..].to_vec();
    body[place..place + by.len()].copy_from_slice(by);
    frame::framed(&body).unwrap()
}

/// Where the number of the first record and the root before it stand in the body of a frame.
const FIRST: usize = 1 + 4 + 4 + 4;
const BEFORE: usize = FIRST + 8 + 4;

/// Whole frames with a right checksum behind the last checkpoint, which the log did not write: opening adopts what a crash left,
/// and none of these.
#[test]
fn a_whole_frame_behind_the_checkpoint_that_the_epoch_did_not_seal_is_refused() {
    let time = Duration::from_secs(1_000_000_000);
    let (disk, keys, pen) = unfinished();
    let header = header(&disk, 0);
    let root = pen.tree.root();
    let earlier = frames(&pen.bytes)[1].bytes(&pen.bytes).to_vec();
    let numbered = altered(&earlier, FIRST, &2_u64.to_le_bytes());
    let other_keys = |epoch: &Epoch, segment: u64, salt: &[u8; 32]| {
        FrameKeys::derive(&epoch.read_key(), header.log_id, segment, salt)
    };
    let next = pen.epoch.next().unwrap();
    let honest = pen.frame(&pen.keys, time, &root);
    let forged = [
        ("an earlier frame again", earlier.clone()),
        ("an earlier frame with the next number", numbered.clone()),
        ("an earlier frame with the next number and root", altered(&numbered, BEFORE, root.as_bytes())),
        ("of another epoch", pen.frame(&other_keys(&next, 0, &header.salt), time, &root)),
        ("of another segment", pen.frame(&other_keys(&pen.epoch, 1, &header.salt), time, &root)),
        ("of another salt", pen.frame(&other_keys(&pen.epoch, 0, &[0; 32]), time, &root)),
        ("after another root", pen.frame(&pen.keys, time, &Tree::new().root())),
        ("sealed after another root", {
            altered(&pen.frame(&pen.keys, time, &Tree::new().root()), BEFORE, root.as_bytes())
        }),
    ];
    let [disk, keys] = [&disk, &keys].map(|disk| move || disk.after_a_crash(&mut Dice(1)));
    let name = layout::segment(0);
    let behind = |frame: &[u8]| {
        let (disk, keys) = (disk(), keys());
        disk.put(&name, &[&pen.bytes, frame].concat());
        (disk, keys)
    };
    for (what, frame) in &forged {
        let (disk, keys) = behind(frame);
        let opened = open(&disk, &keys, options()).map(drop);
        let fault = fault(opened.expect_err(what));
        let found = (fault.kind(), fault.sequence(), fault.offset() as usize);
        assert_eq!(found, (FaultKind::FrameOutOfPlace, 2, pen.bytes.len()), "{what}");
        let left = disk.read(&name).unwrap().unwrap();
        assert_eq!(left, [&pen.bytes[..], frame].concat(), "{what}: the segment was changed");
    }
    // Made with the right keys it is what a crash left.
    let (disk, keys) = behind(&honest);
    let log = open(&disk, &keys, options()).unwrap();
    assert_eq!(log.recovery().adopted_records, 1);
    drop(log);
    assert_eq!(resources(&disk).unwrap(), ["0", "1", "2"]);
}

/// A log of segments at these times, each begun in a start of the machine.
fn at_times(segments: &[([u8; 16], &[f64])]) -> Verification {
    let (disk, keys, origin) = written(1);
    let identity: LogIdentity = keys_of(&keys).identity().unwrap().unwrap();
    // Of the segment whose place is taken.
    disk.remove(&layout::index(0)).unwrap();
    let mut next = header(&disk, 0);
    let mut epoch = Epoch::first().unwrap();
    for (boot, times) in segments {
        let number = epoch.number;
        let verifier = epoch.signer(&origin).unwrap().verifier();
        let certificate = certify(&identity.signer().unwrap(), &origin, number, &verifier).unwrap();
        let certificate = certificate.to_string().into_bytes();
        let begun = Header { segment: number, boot: *boot, certificate, ..next };
        let mut pen = Pen::begin(begun, epoch.same(), &origin);
        times.iter().for_each(|time| pen.commit(*time));
        pen.put(&disk);
        (epoch, next) = (epoch.next().unwrap(), header(&disk, number));
        (next.tree, next.first, next.closing) = (pen.tree.clone(), pen.records, pen.checkpoint());
    }
    let verification = reader(&disk).verify(&[]).unwrap();
    assert!(verification.is_intact(), "{verification}");
    let public = verify::verify(&disk, Path::new("audit"), &Means::default()).unwrap();
    assert_eq!((public.boots(), public.clock_regressions()), (verification.boots(), 0));
    verification
}

#[test]
fn a_clock_that_went_back_is_counted_between_commits_and_between_segments() {
    let count = |segments: &[&[f64]]| {
        let segments: Vec<_> = segments.iter().map(|times| ([1; 16], *times)).collect();
        at_times(&segments).clock_regressions()
    };
    assert_eq!(count(&[&[100., 100., 200.]]), 0);
    assert_eq!(count(&[&[100., 99.5, 98.5]]), 0, "no more than a second");
    assert_eq!(count(&[&[100., 98.5]]), 1);
    assert_eq!(count(&[&[100., 50., 60., 40.], &[45.], &[10., 200.]]), 3);
}

#[test]
fn the_starts_of_the_machine_are_counted_and_not_the_segments() {
    let count = |boots: &[u8]| {
        let segments: Vec<_> = boots.iter().map(|boot| ([*boot; 16], [100.].as_slice())).collect();
        at_times(&segments).boots()
    };
    assert_eq!(count(&[1]), 1);
    assert_eq!(count(&[1, 1, 1]), 1);
    assert_eq!(count(&[1, 1, 2, 2, 3]), 3);
}
