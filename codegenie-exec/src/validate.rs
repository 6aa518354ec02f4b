//! From text to a decision: parse, judge each simple command, the strictest wins.

mod additional;
mod arguments;
mod arithmetic;
mod class;
mod context;
mod deceptive;
mod expand;
#[cfg(feature = "edit")]
mod file;
mod foreign;
mod glob;
mod inputs;
mod judge;
mod knowledge;
mod languages;
mod limits;
mod lint;
mod permissions;
mod place;
mod policy;
mod portable;
mod programs;
mod project_secrets;
mod reach;
mod reload;
mod secrets;
mod shape;
mod shell;
mod uncertain;
mod verdict;
mod word;

pub(crate) use additional::folders;
pub use class::Class;

pub use lint::PolicyLint;
pub use permissions::Permissions;
pub use policy::{
    ApprovalPolicy, CommandPolicy, CommandRule, PolicyFileError, PolicyProfile, SandboxMode, UnknownCommand,
};
pub use reload::PolicyFile;
pub use verdict::{Decision, Judgement, Verdict};

#[cfg(feature = "edit")]
pub(crate) use file::judge_edit;
pub(crate) use judge::judge;
pub(crate) use knowledge::may_run_others;
pub(crate) use portable::difference as difference_to_posix;
pub use shell::ParseError;
pub(crate) use shell::parse;
