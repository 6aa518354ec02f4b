//! What init may tell the host: any bytes are read without harm. Runs the fuzz target's exercise.
#![cfg(all(target_os = "linux", feature = "native"))]

#[path = "../fuzz/exercises/init.rs"]
mod exercise;

use proptest::prelude::*;

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..1024)) {
        exercise::init(&bytes);
    }

    #[test]
    fn any_text_of_transfers(
        lines in prop::collection::vec(("[a-z_]{1,12}|write_bytes", "[ :]{1,2}", "-?[0-9]{1,24}"), 0..9)
    ) {
        let text: String = lines.iter().map(|(name, colon, value)| format!("{name}{colon}{value}\n")).collect();
        exercise::init(&[&[0; 16], text.as_bytes()].concat());
    }
}

#[test]
fn what_init_really_sends() {
    exercise::init(&[]);
    exercise::init(&[&[7, 0, 0, 0][..], &[0; 12], &[0; 144]].concat());
    exercise::init(&[&[8, 0, 0, 0][..], &[0; 12], b"rchar: 3\nwrite_bytes: 4096\n\0\0\0"].concat());
}
