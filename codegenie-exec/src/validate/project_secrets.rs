//! What files with secrets are called that people keep within their projects.
//!
//! An agent needs their names, and can make them; what they hold is for a person to show. What only looks like one, as
//! `.env.example` does, holds nothing.

use super::shape::{self, Piece, meets};
use std::sync::LazyLock;

/// Endings of examples, which are handed around.
const EXAMPLES: &[&str] =
    &["example", "sample", "template", "tmpl", "dist", "default", "defaults", "schema", "md"];

/// What environment files begin with that are not called `.env`.
const ENVIRONMENTS: &[&str] = &[
    "prod",
    "production",
    "dev",
    "development",
    "stage",
    "staging",
    "local",
    "docker",
    "secret",
    "secrets",
    "app",
    "test",
];

/// Endings of private keys, and of what they are kept in.
const KEYS: &[&str] = &["key", "p12", "pfx", "jks", "keystore", "ppk", "kdbx", "p8", "tfstate"];

/// Endings of files with values rather than code.
const DATA: &[&str] = &["json", "yml", "yaml", "toml", "ini", "txt", "properties", "conf", "cfg", "xml"];

const WHY: &str = "what files with a project's secrets are called";

/// Whether a path may be that of such a file.
pub(super) fn kept_in(path: &[Piece]) -> Option<&'static str> {
    /// What `.e*` may become.
    static HIDDEN: LazyLock<Vec<shape::Shape>> =
        LazyLock::new(|| [".env", ".env.local", ".env.production", ".htpasswd"].map(shape::literal).into());
    let name = shape::segments(path).last().unwrap_or_default();
    if name.len() < 3 {
        return None;
    }
    // A part that is not known is some name.
    let text: String = name
        .iter()
        .map(|piece| if let Piece::Char(c) = piece { c.to_ascii_lowercase() } else { 'x' })
        .collect();
    let pattern = name.iter().any(|piece| !matches!(piece, Piece::Char(_)));
    let hidden = || pattern && text.starts_with('.') && HIDDEN.iter().any(|secret| meets(name, secret));
    (is_secret(&text) || hidden()).then_some(WHY)
}

/// The same for a text that is known: itself, or what follows an option or a revision.
pub(super) fn named_in(text: &str) -> Option<&'static str> {
    // Each of them has a dot in its name.
    let name = text.rsplit('/').next().filter(|name| name.contains('.'))?.to_ascii_lowercase();
    let after = name.rsplit(['=', ':', '@']).next().unwrap_or_default();
    let attached = name.strip_prefix('-').and_then(|rest| rest.get(1..)).unwrap_or_default();
    [name.as_str(), after, attached].into_iter().any(is_secret).then_some(WHY)
}

/// The same for a pattern that a program reads, to which `*` is also what a hidden name begins with.
pub(super) fn sought_by(pattern: &str) -> Option<&'static str> {
    let name = pattern.rsplit('/').next().unwrap_or_default();
    if !name.contains(['*', '?', '[']) || !name.contains("env") {
        return None;
    }
    let mut shape = shape::pattern(name);
    shape.iter_mut().filter(|piece| **piece == Piece::Any).for_each(|piece| *piece = Piece::Unknown);
    [".env", ".env.local", ".env.production"]
        .iter()
        .any(|secret| meets(&shape, &shape::literal(secret)))
        .then_some(WHY)
}

fn is_secret(name: &str) -> bool {
    if name.contains(char::is_whitespace) {
        return false;
    }
    if name == ".env" || matches!(name, ".htpasswd" | ".dockercfg" | ".envrc.private") {
        return true;
    }
    if let Some(rest) = name.strip_prefix(".env.") {
        return !rest.rsplit('.').next().is_some_and(|ending| EXAMPLES.contains(&ending));
    }
    let Some((stem, ending)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) else {
        return false;
    };
    let part = |wanted: &[&str]| stem.split(['.', '-', '_']).any(|part| wanted.contains(&part));
    match ending {
        "env" => part(ENVIRONMENTS),
        "pem" => part(&["key", "privkey", "private", "privatekey"]),
        ending if KEYS.contains(&ending) => true,
        ending if DATA.contains(&ending) => {
            matches!(stem, "secret" | "secrets" | "credential" | "credentials" | ".secrets" | "client_secret")
                || stem.starts_with("client_secret")
                || ["service-account", "service_account", "serviceaccount"]
                    .iter()
                    .any(|name| stem.starts_with(name))
        }
        _ => false,
    }
}
