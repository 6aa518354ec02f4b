//! The fast path against the full look.

use super::{Expected, is_plain, scanned};
use proptest::prelude::*;

fn texts() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "password",
        "-token",
        "--token",
        "--",
        "-",
        "-u",
        "-su",
        "TOKEN1",
        "auth",
        "-pass",
        "\\",
        "\n",
        " ",
        "\t",
        ",",
        "&",
        "é",
        "@",
        "[redacted]",
        "AKIAABCDEFGHIJKLMNOP",
        "sk-",
        "0123456789abcdefghij",
        "eyJ",
        ".",
        "/",
        "(",
        ")",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "x",
        "\u{a0}",
        "$",
        "#",
        "]",
    ]);
    let marked = prop::sample::select(vec!["=", ":", "\"", "'", "`"]);
    let part = prop_oneof![60 => parts, 1 => marked];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_plain_has_no_secret(text in texts()) {
        if is_plain(&text) {
            prop_assert_eq!(scanned(&text, &mut Expected::Nothing), None);
        }
    }
}
