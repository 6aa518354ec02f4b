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
const KEYS: &[&str] = &[
    "key",
    "p12",
    "pfx",
    "jks",
    "jceks",
    "bcfks",
    "keystore",
    "ppk",
    "kdb",
    "kdbx",
    "p8",
    "pk8",
    "privkey",
    "agekey",
    "tfstate",
    "tfvars",
    "kubeconfig",
    "ovpn",
    "keychain",
    "secret",
    "secrets",
    "1pux",
];

/// Endings of files with values rather than code.
const DATA: &[&str] =
    &["json", "yml", "yaml", "toml", "ini", "txt", "properties", "conf", "cfg", "xml", "csv", "tsv", "db"];

/// Whole names.
const NAMES: &[&str] = &[
    ".env",
    ".envrc",
    ".htpasswd",
    ".dockercfg",
    ".dockerconfigjson",
    ".dev.vars",
    ".prod.vars",
    ".vault_pass",
    ".vault-pass",
    ".vault_password",
    ".vault_pass.txt",
    ".netrc",
    "_netrc",
    ".ftpconfig",
    ".remote-sync.json",
    ".pgpass",
    ".s3cfg",
    ".boto",
    "auth.json",
    "kaggle.json",
    "sftp-config.json",
    "rootkey.csv",
    "accesskeys.csv",
    "oauth_creds.json",
    "application_default_credentials.json",
    "wp-config.php",
    "cookies.txt",
    "secring.gpg",
    "filezilla.xml",
    "recentservers.xml",
    "sitemanager.xml",
    "hosts.yml.vault",
];

/// What is put behind the name of a copy that is kept, or of a file that is packed.
const COPIES: &[&str] = &[
    "~",
    ".bak",
    ".backup",
    ".bck",
    ".bkp",
    ".old",
    ".orig",
    ".original",
    ".save",
    ".saved",
    ".tmp",
    ".copy",
    ".prev",
    ".previous",
    ".swp",
    ".swo",
    ".swn",
    ".dpkg-old",
    ".dpkg-dist",
    ".rpmsave",
    "_bak",
    "-bak",
    "_old",
    "-old",
    "_backup",
    "-backup",
    ".gz",
    ".bz2",
    ".xz",
    ".zst",
    ".lz4",
    ".1",
    ".2",
    ".0",
];

const WHY: &str = "what files with a project's secrets are called";

/// Whether a path may be that of such a file.
pub(super) fn kept_in(path: &[Piece]) -> Option<&'static str> {
    /// What `.e*` may become.
    static HIDDEN: LazyLock<Vec<shape::Shape>> = LazyLock::new(|| {
        [".env", ".envrc", ".env.local", ".env.production", ".htpasswd", ".dev.vars"]
            .map(shape::literal)
            .into()
    });
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
    let chosen = || {
        let small = |piece: &Piece| match piece {
            Piece::Char(c) => Piece::Char(c.to_ascii_lowercase()),
            piece => *piece,
        };
        let small: shape::Shape = name.iter().map(small).collect();
        pattern && selects(&small).is_some()
    };
    (is_secret(&text) || hidden() || chosen()).then_some(WHY)
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
    // What stands before a path of git: `:(icase)a`, `:/a`. What is left out is not sought.
    let (magic, path) = match pattern.strip_prefix(':') {
        Some(rest) => match rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            Some((magic, path)) => (magic, path),
            None => rest.split_at(rest.len() - rest.trim_start_matches(['/', '!', '^']).len()),
        },
        None => ("", pattern),
    };
    if magic.contains(['!', '^']) || magic.contains("exclude") {
        return None;
    }
    alternatives(path).iter().find_map(|path| {
        let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
        if !name.contains(['*', '?', '[']) {
            let spoken = path.len() != pattern.len();
            return (spoken && is_secret(&name)).then_some(WHY);
        }
        selects(&hidden_too(shape::pattern(&name)))
    })
}

/// The same for a regular expression, which may be met anywhere in a name unless it says where.
pub(super) fn matched_by(expression: &str, whole: bool) -> Option<&'static str> {
    if expression.contains(['(', '|', '{']) {
        let plain = expression.replace('\\', "");
        let other = |c: char| !(c.is_alphanumeric() || "._-".contains(c));
        return plain.split(other).find_map(named_in);
    }
    let mut rest = expression.chars().peekable();
    let mut shape = Vec::new();
    if rest.next_if_eq(&'^').is_none() && !whole {
        shape.push(Piece::Unknown);
    }
    let mut ends = whole;
    while let Some(c) = rest.next() {
        shape.push(match c {
            '$' if rest.peek().is_none() => {
                ends = true;
                break;
            }
            '\\' => match rest.next() {
                Some(c) if c.is_alphanumeric() => Piece::One,
                Some(c) => Piece::Char(c),
                None => break,
            },
            '.' => Piece::One,
            '[' => {
                rest.by_ref().find(|c| *c == ']');
                Piece::One
            }
            c => Piece::Char(c.to_ascii_lowercase()),
        });
        if rest.next_if(|c| matches!(c, '*' | '+' | '?')).is_some()
            && let Some(last) = shape.last_mut()
        {
            *last = Piece::Unknown;
        }
    }
    if !ends {
        shape.push(Piece::Unknown);
    }
    shape::segments(&shape).last().and_then(|name| selects(&hidden_too(name.to_vec())))
}

/// A program's own patterns mean hidden names as well.
fn hidden_too(mut shape: shape::Shape) -> shape::Shape {
    for (at, piece) in shape.iter_mut().enumerate() {
        if *piece == Piece::Any || (at == 0 && *piece == Piece::One) {
            *piece = Piece::Unknown;
        }
    }
    shape
}

/// What a pattern with `{a,b}` says, each by itself.
fn alternatives(pattern: &str) -> Vec<String> {
    const MOST: usize = 64;
    let mut made = vec![pattern.to_owned()];
    let mut at = 0;
    while let Some(text) = made.get(at).filter(|_| made.len() < MOST) {
        let parts = text.split_once('}').and_then(|(before, behind)| {
            before.rsplit_once('{').map(|(front, inside)| (front, inside, behind))
        });
        match parts {
            Some((front, inside, behind)) => {
                let new: Vec<_> =
                    inside.split(',').map(|choice| format!("{front}{choice}{behind}")).collect();
                made.splice(at..=at, new);
            }
            None => at += 1,
        }
    }
    made
}

/// Names of secrets, each of which stands for its like.
static SECRETS: LazyLock<Vec<shape::Shape>> = LazyLock::new(|| {
    const MORE: &[&str] = &[
        ".env.local",
        ".env.production",
        "prod.env",
        "key.pem",
        "server-key.pem",
        "private.pem",
        "secrets.yml",
        "credentials.json",
    ];
    let keys = KEYS.iter().map(|ending| format!("server.{ending}"));
    let named = NAMES.iter().chain(MORE).map(|name| shape::literal(name));
    named.chain(keys.map(|name| shape::literal(&name))).collect()
});

/// Whether a pattern, in small letters, means a secret: it meets the name of one, and no name that projects are full of.
fn selects(name: &[Piece]) -> Option<&'static str> {
    /// A few of each kind.
    const ORDINARY: &[&str] = &[
        "main.py",
        "main.rs",
        "main.kt",
        "main.c",
        "app.js",
        "app.vue",
        "run.sh",
        "readme.md",
        "config.json",
        "config.yml",
        "config.yaml",
        "settings.ini",
        "app.conf",
        "app.properties",
        "setup.cfg",
        "notes.txt",
        "makefile",
        "dockerfile",
        "cargo.toml",
        "cargo.lock",
        "index.html",
        "index.php",
        "pom.xml",
        "data.csv",
        "data.tsv",
        "data.db",
        "data.tar.gz",
        ".git",
        ".gitignore",
        ".github",
        ".dockerignore",
        ".htaccess",
        ".npmignore",
        ".nvmrc",
        ".prettierrc",
        ".vscode",
        ".bashrc",
        ".flake8",
        ".rspec",
        ".stylelintrc",
    ];
    static COMMON: LazyLock<Vec<shape::Shape>> =
        LazyLock::new(|| ORDINARY.iter().map(|name| shape::literal(name)).collect());
    if name.iter().all(|piece| matches!(piece, Piece::Char(_))) {
        return shape::text(name).filter(|name| is_secret(name)).map(|_| WHY);
    }
    // `key*` and `*key*` are code of every kind.
    let open = matches!(name.last(), Some(Piece::Any | Piece::Unknown));
    let env = ['e', 'n', 'v'].map(Piece::Char);
    if open && !name.contains(&Piece::Char('.')) && !name.windows(3).any(|part| part == env) {
        return None;
    }
    let means = |names: &[shape::Shape]| names.iter().any(|wanted| meets(name, wanted));
    (means(&SECRETS) && !means(&COMMON)).then_some(WHY)
}

/// Whether a name of which a part is not known may be that of a secret.
pub(super) fn may_be_secret(path: &[Piece]) -> bool {
    const ELSEWHERE: &[&str] = &["shadow", "gshadow", "passwd", "sudoers", "environ", "id_rsa", "id_ed25519"];
    let Some(name) = shape::segments(path).last() else { return false };
    SECRETS.iter().any(|secret| meets(name, secret))
        || ELSEWHERE.iter().any(|secret| meets(name, &shape::literal(secret)))
}

/// Whether a file of this name is one, or a copy of one.
fn is_secret(name: &str) -> bool {
    /// Copies of copies.
    const MOST: usize = 3;
    if name.contains(char::is_whitespace) {
        return false;
    }
    // What editors keep beside a file that is open: `.#a`, `#a#`, `.a.swp`.
    let open = name.strip_prefix(".#").or_else(|| name.strip_prefix('#')?.strip_suffix('#'));
    let mut name = open.unwrap_or(name);
    for _ in 0..=MOST {
        if is_itself_secret(name) {
            return true;
        }
        let Some(shorter) = COPIES.iter().find_map(|ending| name.strip_suffix(ending)) else { return false };
        name = match shorter.strip_prefix("..") {
            Some(_) => shorter.get(1..).unwrap_or_default(),
            None if name.ends_with(".swp") || name.ends_with(".swo") => {
                shorter.strip_prefix('.').unwrap_or(shorter)
            }
            None => shorter,
        };
    }
    false
}

fn is_itself_secret(name: &str) -> bool {
    if NAMES.contains(&name) {
        return true;
    }
    let is_example = |rest: &str| {
        let copied = COPIES.iter().find_map(|ending| rest.strip_suffix(ending)).unwrap_or(rest);
        copied.rsplit(['.', '-', '_']).next().is_some_and(|ending| EXAMPLES.contains(&ending))
    };
    if let Some(rest) = name.strip_prefix(".env").or_else(|| name.strip_prefix(".envrc"))
        && rest.starts_with(['.', '-', '_'])
    {
        return !is_example(rest);
    }
    // `env.production`, which is `.env.production` to some.
    if name.strip_prefix("env.").is_some_and(|rest| ENVIRONMENTS.contains(&rest)) {
        return true;
    }
    let Some((stem, ending)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) else {
        return false;
    };
    let part = |wanted: &[&str]| stem.split(['.', '-', '_']).any(|part| wanted.contains(&part));
    if is_example(stem) {
        return false;
    }
    match ending {
        "env" => part(ENVIRONMENTS),
        "pem" => part(&["key", "privkey", "private", "privatekey", "keypair", "rsa", "ecdsa", "ed25519"]),
        ending if KEYS.contains(&ending) => true,
        "json" if stem.ends_with(".tfvars") || stem.ends_with("-key") || stem.ends_with("_key") => true,
        ending if DATA.contains(&ending) => {
            let telling = ["secret", "secrets", "credential", "credentials", "passwords"];
            telling.contains(&stem.trim_start_matches('.'))
                || (ending == "csv" && part(&["credentials", "passwords"]))
                || [
                    "client_secret",
                    "service-account",
                    "service_account",
                    "serviceaccount",
                    "firebase-adminsdk",
                ]
                .iter()
                .any(|name| stem.starts_with(name))
        }
        _ => false,
    }
}
