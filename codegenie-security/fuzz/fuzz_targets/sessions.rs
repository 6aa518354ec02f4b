//! Records of sessions: what is read is what was written, and nothing panics.
#![no_main]

use codegenie_security::SessionRecord;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes.to_vec(), [&[1], bytes].concat()] {
        if let Some(record) = SessionRecord::from_bytes(&bytes) {
            assert_eq!(SessionRecord::from_bytes(&record.to_bytes()), Some(record));
        }
    }
});
