//! Whether what a word may become, by patterns and variables, may be where secrets are kept.

pub(super) mod made_up;

use super::place;
use super::shape::{self, Piece, meets};
use crate::sandbox::defaults::CREDENTIALS;
use std::sync::LazyLock;

/// What files and folders with credentials are called, wherever they lie, beside [`CREDENTIALS`].
const NAMES: &[&str] = &["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "authorized_keys", ".oci", ".docker"];

/// What belongs to the machine.
const OF_THE_MACHINE: &[&str] = &[
    "/etc",
    "/root",
    "/boot",
    "/var/log",
    "/var/spool",
    "/var/mail",
    "/var/lib/sss",
    "/run/secrets",
    "/proc/*/environ",
    "/proc/*/mem",
    "/proc/*/maps",
    "/proc/kcore",
    "/dev/tcp",
    "/dev/udp",
    "/dev/mem",
    "/dev/kmem",
    "/dev/sda",
    "/dev/vda",
    "/dev/nvme0",
];

/// What tells enough of a file where its folder is not known.
const TELLING: &[&str] = &["shadow", "gshadow", "sudoers", "passwd", "master.passwd", "environ", "kcore"];

/// The parts of each name, made once: most words that the shell puts together are held against all of them.
static WANTED: LazyLock<Wanted> = LazyLock::new(|| Wanted {
    names: CREDENTIALS
        .iter()
        .chain(NAMES)
        .map(|name| name.split('/').map(shape::literal).collect())
        .collect(),
    machine: OF_THE_MACHINE.iter().map(|folder| folder.split('/').map(shape::pattern).collect()).collect(),
    telling: TELLING.iter().map(|name| shape::literal(name)).collect(),
    etc: shape::literal("etc"),
    settings: shape::literal(".config"),
});

struct Wanted {
    names: Vec<Vec<Vec<Piece>>>,
    machine: Vec<Vec<Vec<Piece>>>,
    telling: Vec<Vec<Piece>>,
    etc: Vec<Piece>,
    settings: Vec<Piece>,
}

/// What a path may tell.
pub(super) fn told_by(path: &[Piece]) -> Option<&'static str> {
    if let Some(text) = shape::text(path) {
        return place::sensitive(&text);
    }
    const WHY: &str = "it may become where secrets or accounts are kept";
    // A folder that is not known may be any, but tells nothing by itself.
    let segments: Vec<&[Piece]> = shape::segments(path).collect();
    let outside = matches!(path.first(), Some(Piece::Char('/' | '~')));
    let named = WANTED.names.iter().any(|wanted| {
        segments.windows(wanted.len()).any(|window| {
            window.iter().any(|segment| is_telling(segment, outside)) && all_meet(window, wanted)
        })
    });
    // Settings of a home, which hold many a key.
    let settings = path.first() == Some(&Piece::Char('~'))
        && segments.get(1).is_some_and(|name| is_telling(name, true) && meets(name, &WANTED.settings));
    let machine = path.first() == Some(&Piece::Char('/'))
        && WANTED
            .machine
            .iter()
            .any(|wanted| segments.get(..wanted.len()).is_some_and(|begin| all_meet(begin, wanted)));
    let unknown = path.first() == Some(&Piece::Unknown)
        && segments.iter().skip(1).enumerate().any(|(at, segment)| {
            is_telling(segment, false)
                && (WANTED.telling.iter().any(|name| meets(segment, name))
                    || (at == 0 && segments.len() > 2 && meets(segment, &WANTED.etc)))
        });
    (named || settings || machine || unknown).then_some(WHY)
}

/// Whether a variable of the environment is by its name one that holds a secret.
pub(super) fn names_a_variable(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "SECRET",
        "SECRETS",
        "TOKEN",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "APIKEY",
        "CREDENTIAL",
        "CREDENTIALS",
        "PAT",
    ];
    const KEYS: &[&str] = &["API", "ACCESS", "PRIVATE", "AUTH", "MASTER", "ENCRYPTION", "SIGNING", "SSH"];
    let parts: Vec<&str> = name.split('_').collect();
    let is = |wanted: &[&str]| parts.iter().any(|part| wanted.contains(part));
    is(PARTS) || (parts.len() > 1 && parts.last() == Some(&"KEY") && is(KEYS))
}

fn all_meet(segments: &[&[Piece]], wanted: &[Vec<Piece>]) -> bool {
    segments.iter().zip(wanted).all(|(segment, wanted)| meets(segment, wanted))
}

/// Whether a part of a path says something by itself: `*` may be anything, and says nothing; in the workspace, where
/// nobody keeps secrets, neither does `a*`.
fn is_telling(segment: &[Piece], outside: bool) -> bool {
    let hidden = segment.len() > 1 && segment.first() == Some(&Piece::Char('.'));
    let known = segment.iter().filter(|piece| matches!(piece, Piece::Char(c) if c.is_alphanumeric())).count();
    usize::from(hidden) + usize::from(outside) + known > usize::from(!(hidden && outside))
}
