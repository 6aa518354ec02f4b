//! Power cuts, full disks and lying disks, through the seam where the files are; an index by who has the key. What the files hold is tested in
//! tests/audit_log.rs.

mod crash_disk;
mod faults;
mod interrupted;
mod lying_index;
mod power_cuts;
