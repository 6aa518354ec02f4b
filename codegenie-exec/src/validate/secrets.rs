//! Whether what a word may become, by patterns and variables, may be where secrets are kept.

use super::place;
use super::shape::{self, Piece, meets};
use crate::sandbox::defaults::CREDENTIALS;

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

/// What a path may tell.
pub(super) fn told_by(path: &[Piece]) -> Option<&'static str> {
    if let Some(text) = shape::text(path) {
        return place::sensitive(&text);
    }
    const WHY: &str = "it may become where secrets or accounts are kept";
    // A folder that is not known may be any, but tells nothing by itself.
    let segments: Vec<&[Piece]> = shape::segments(path).collect();
    let outside = matches!(path.first(), Some(Piece::Char('/' | '~')));
    let named = CREDENTIALS.iter().chain(NAMES).any(|name| {
        let wanted: Vec<Vec<Piece>> = name.split('/').map(shape::literal).collect();
        segments.windows(wanted.len()).any(|window| {
            window.iter().any(|segment| is_telling(segment, outside)) && all_meet(window, &wanted)
        })
    });
    let machine = path.first() == Some(&Piece::Char('/'))
        && OF_THE_MACHINE.iter().any(|folder| {
            let wanted: Vec<Vec<Piece>> = folder.split('/').map(shape::pattern).collect();
            segments.get(..wanted.len()).is_some_and(|begin| all_meet(begin, &wanted))
        });
    let unknown = path.first() == Some(&Piece::Unknown)
        && segments.iter().skip(1).enumerate().any(|(at, segment)| {
            is_telling(segment, false)
                && (TELLING.iter().any(|name| meets(segment, &shape::literal(name)))
                    || (at == 0 && segments.len() > 2 && meets(segment, &shape::literal("etc"))))
        });
    (named || machine || unknown).then_some(WHY)
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
