//! Strings that claim to be stored passwords: no panic, and no more work than allowed.
#![no_main]

use codegenie_security::PasswordHasher;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let hasher = PasswordHasher::new().max_log_n(2);
    let _ = hasher.verify(&"password".into(), text);
    // With the beginning right more often than chance would have it.
    let _ = hasher
        .verify(&"password".into(), &format!("$scrypt${text}$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046w"));
});
