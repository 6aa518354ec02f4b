//! Power cuts, full disks and lying disks, through the seam where the files are; what only somebody with keys can write; an
//! index by who has the key. What the files hold is tested in tests/audit_log.rs.

mod by_hand;
pub(super) mod crash_disk;
mod every_cut;
mod faults;
mod interrupted;
mod lying_index;
mod power_cuts;
mod processes;
