//! Where a path lies, as far as its text tells: the sandbox, not this, decides what it reaches.

use super::context::Context;
use super::shape::{self, Piece, Shape, meets};
use crate::command::Word;
use crate::sandbox::defaults;
use std::sync::LazyLock;

/// Where a file would be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A device that keeps nothing, or one of the command's own streams.
    Nowhere,
    /// Within the workspace, or in the sandbox's own `/tmp`.
    Inside,
    /// Within the workspace, and run or trusted by other programs.
    Protected,
    /// Elsewhere, or not known before the command runs.
    Outside,
}

pub(super) fn of_word(word: &Word, context: &Context<'_>) -> Place {
    match word {
        Word::Literal(path) => of(path, context),
        // A pattern within a directory of the workspace: what it becomes exists there.
        Word::Dynamic(dynamic)
            if dynamic.pattern && !dynamic.splits && dynamic.variables.is_empty() && !dynamic.computed =>
        {
            let climbs = dynamic.written.contains("..") || dynamic.written.contains("/.");
            let anchored = !dynamic.prefix.starts_with(['~', '-', '/', '.']);
            match of(&dynamic.written, context) {
                _ if climbs || !anchored => Place::Outside,
                Place::Inside if may_become_protected(&dynamic.written) => Place::Protected,
                place => place,
            }
        }
        Word::Dynamic(_) => {
            // The worst of what it may become, where all of that is known.
            let texts = context.written_texts(word).filter(|texts| !texts.is_empty());
            texts.map_or(Place::Outside, |texts| {
                let places = texts.iter().map(|text| match text.as_str() {
                    // What is empty names no file.
                    "" => Place::Nowhere,
                    text => of(text, context),
                });
                places.max_by_key(|place| *place as u8).unwrap_or(Place::Outside)
            })
        }
    }
}

pub(super) fn of(path: &str, context: &Context<'_>) -> Place {
    if matches!(path, "/dev/null" | "/dev/stdout" | "/dev/stderr" | "/dev/tty" | "-") {
        return Place::Nowhere;
    }
    // `host:path` is a file of another machine to programs that know such.
    let remote = path.split('/').next().is_some_and(|first| first.contains(':'));
    if path.is_empty() || remote {
        return Place::Outside;
    }
    if let Some(protected) = context.additional.holds(path, &context.reach) {
        return if protected { Place::Protected } else { Place::Inside };
    }
    if path.starts_with('~') || path.split('/').any(|part| part == "..") {
        return Place::Outside;
    }
    if let Some(path) = context.reach.below_workspace(path) {
        return if is_protected(path) { Place::Protected } else { Place::Inside };
    }
    if path.starts_with('/') {
        return match path.starts_with("/tmp/") {
            true if is_protected(path) => Place::Protected,
            true => Place::Inside,
            false => Place::Outside,
        };
    }
    if context.moved {
        return Place::Outside;
    }
    if is_protected(path) { Place::Protected } else { Place::Inside }
}

/// Files in a project that shells, editors and version control run or obey: those that edits are refused for, too.
pub(super) fn is_protected(path: &str) -> bool {
    defaults::is_protected(path)
}

/// Whether a pattern that begins as such a name does may become it. `*` alone says nothing.
fn may_become_protected(pattern: &str) -> bool {
    static NAMES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
        let first = defaults::asked_about().filter_map(|name| name.split('/').next());
        first.filter(|name| !name.starts_with('.')).map(shape::literal).collect()
    });
    let pattern = shape::pattern(pattern);
    let mut segments = shape::segments(&pattern);
    segments.any(|segment| {
        let telling = matches!(segment.first(), Some(Piece::Char(_)));
        telling && shape::text(segment).is_none() && NAMES.iter().any(|name| meets(segment, name))
    })
}

/// What stands in the paths of secrets.
const PARTS: &[&str] = &[
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/security/",
    "/etc/pam.d",
    "/etc/krb5",
    "/etc/ssl/private",
    "/etc/master.passwd",
    "/etc/passwd",
    "/etc/login.defs",
    "/etc/shells",
    "/etc/ssh/",
    "/.ssh",
    ".ssh/",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "authorized_keys",
    ".aws",
    ".azure",
    ".oci/",
    "/.kube",
    ".kube/config",
    ".docker/config",
    ".gnupg",
    ".netrc",
    ".pgpass",
    ".my.cnf",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    "_history",
    ".history",
    ".mozilla",
    "firefox",
    "google-chrome",
    "chromium",
    "bookmarks",
    "places.sqlite",
    "brave-browser",
    "vivaldi",
    "login data",
    "cookies.sqlite",
    "key4.db",
    "logins.json",
    "keychain",
    "keyring",
    ".password-store",
    "wallet.dat",
    "serviceaccount",
    "/proc/self/environ",
    "/proc/kcore",
    "/dev/mem",
    "/dev/kmem",
    "/dev/sd",
    "/dev/nvme",
    "/dev/vd",
    "/dev/tcp/",
    "/inet/",
    "/inet4/",
    "/inet6/",
    "/dev/udp/",
    ".keytab",
    "ntds.dit",
    "krb5cc",
    "application_default_credentials",
    ".config/gcloud",
    ".config/gh",
    "/var/lib/sss",
    "/run/secrets",
    "~/.config",
];

/// What tells nothing of a machine but which system it has: the same on each that has it.
const OF_EVERYBODY: &[&str] = &[
    "/etc/os-release",
    "/etc/lsb-release",
    "/etc/debian_version",
    "/etc/redhat-release",
    "/etc/centos-release",
    "/etc/fedora-release",
    "/etc/alpine-release",
    "/etc/arch-release",
    "/etc/gentoo-release",
    "/etc/system-release",
    "/etc/services",
    "/etc/protocols",
    "/etc/rpc",
    "/etc/ethertypes",
    "/etc/mime.types",
    "/etc/magic",
    "/etc/timezone",
    "/etc/localtime",
    "/etc/ssl/certs/ca-certificates.crt",
];

/// Whether a path is that of a project's text or code, by its ending: what is called like a secret there only speaks of
/// some. Elsewhere than in a project nothing is.
fn is_source(path: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "adoc", "astro", "bats", "c", "cc", "clj", "cljs", "coffee", "cpp", "cs", "css", "cxx", "dart",
        "erl", "ex", "exs", "f90", "fs", "go", "graphql", "groovy", "h", "hbs", "hpp", "hrl", "hs", "html",
        "ipynb", "java", "jl", "js", "jsx", "kt", "kts", "less", "lua", "m", "md", "mdx", "mjs", "ml", "mli",
        "mm", "nim", "php", "pl", "pm", "proto", "py", "pyi", "r", "rb", "rs", "rst", "sass", "scala",
        "scss", "snap", "sol", "sql", "svelte", "svg", "swift", "tex", "ts", "tsx", "v", "vue", "zig",
    ];
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, ending)| ending);
    !path.starts_with(['/', '~', '$'])
        && !path.contains("..")
        && ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

/// Each with the signs that it consists of.
static SOUGHT: LazyLock<Vec<(u128, &str)>> =
    LazyLock::new(|| PARTS.iter().map(|part| (signs(part), *part)).collect());

/// The signs that a text consists of, a bit for each.
fn signs(text: &str) -> u128 {
    text.bytes().fold(0, |signs, byte| signs | 1 << (byte & 127))
}

/// Whether reading a path, or looking for it, tells secrets: what credentials are commonly called.
pub(super) fn sensitive(path: &str) -> Option<&'static str> {
    // Most words are none of it.
    if path.len() < 3 || path.len() > 4096 {
        return None;
    }
    let lower = path.to_ascii_lowercase();
    const WORDS: &[&str] = &[
        "password",
        "passwd",
        "credential",
        "secret",
        "token",
        "apikey",
        "api_key",
        "private_key",
        "kubeconfig",
    ];
    // Most words lack a sign of each.
    let own = signs(&lower);
    let told = |(signs, part): &(u128, &str)| {
        signs & !own == 0 && lower.contains(part) && (part.contains('/') || !is_source(&lower))
    };
    if SOUGHT.iter().any(told) || defaults::is_credential(path) {
        return Some("where secrets or accounts are kept");
    }
    if lower.starts_with("/proc/")
        && (lower.ends_with("/environ") || lower.ends_with("/mem") || lower.ends_with("/maps"))
    {
        return Some("the memory or the environment of a process");
    }
    // Settings of a home, which hold many a key.
    if (lower.starts_with("/home/") || lower.starts_with("/users/")) && lower.contains("/.config") {
        return Some("where secrets or accounts are kept");
    }
    if lower.starts_with("/etc/") && OF_EVERYBODY.contains(&lower.as_str()) {
        return None;
    }
    const OF_THE_MACHINE: &[&str] = &["/etc", "/var/log", "/var/spool", "/var/mail", "/boot", "/root"];
    let path = lower.trim_start_matches('/');
    if lower.starts_with('/')
        && OF_THE_MACHINE.iter().any(|dir| {
            path.strip_prefix(dir.trim_start_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    {
        return Some("tells about the machine and its users");
    }
    // `kubectl get pods,secrets`, `kubectl get secret/x`
    let first = lower.split('/').next().unwrap_or_default();
    if first.split(',').any(|word| matches!(word, "secret" | "secrets")) {
        return Some("what secrets are called");
    }
    WORDS
        .iter()
        .any(|word| lower == *word || lower.trim_matches(['*', '.', '/']) == *word)
        .then_some("what secrets are called")
}
