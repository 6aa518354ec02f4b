//! Power cuts, full disks and lying disks, through the seam where the files are. What the files hold is tested in
//! tests/audit_log.rs.

mod crash_disk;
mod faults;
mod power_cuts;
