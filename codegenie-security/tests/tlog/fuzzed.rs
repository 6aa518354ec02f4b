//! Bounded runs of what the fuzz targets `note`, `proof` and `tile` do without bounds.

use proptest::prelude::*;

#[path = "../../fuzz/exercises/tlog.rs"]
mod exercise;

fn changes() -> impl Strategy<Value = Vec<(u16, u8)>> {
    prop::collection::vec(any::<(u16, u8)>(), 0..4)
}

/// Bytes that have something of what the formats look for.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "(\u{2014} )?[a-b+]{1,2} (AAAA)?[AQ]{2}==\n".prop_map(String::into_bytes),
        "[a\n]{0,3}\n".prop_map(String::into_bytes),
        "(c2sp.org/tlog-proof@v1\n)?(extra AA==\n)?(index [0-2]{0,20}\n)?(A{42}[AB]=\n){0,2}\n?"
            .prop_map(String::into_bytes),
        "a\n[0-9]{1,2}\nA{43}=\n(b\n)?".prop_map(String::into_bytes),
        "tile/([0-6]{0,2}|entries)/(x00[01]/){0,2}00[0-9](\\.p/[0-9]{1,3})?".prop_map(String::into_bytes),
        "(PRIVATE\\+KEY\\+)?a\\+[0-9a-f]{8}\\+A[A-Z]A{42}".prop_map(String::into_bytes),
        any::<u64>().prop_map(|size| [&b"CGTREE\x01"[..], &(size & 0xf0).to_le_bytes(), &[1; 64]].concat()),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn notes(bytes in bytes(), changes in changes()) {
        exercise::note(&bytes, changes);
    }

    #[test]
    fn proofs(bytes in bytes(), changes in changes()) {
        exercise::proof(&bytes, changes);
    }

    #[test]
    fn tiles(bytes in bytes(), changes in changes()) {
        exercise::tile(&bytes, changes);
    }
}
