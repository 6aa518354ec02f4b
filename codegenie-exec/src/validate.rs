//! From text to a decision: parse, judge each simple command, the strictest wins.

mod judge;
mod limits;
mod policy;
mod programs;
mod shell;
mod word;

pub use judge::{Decision, Judgement, Verdict};
pub use policy::{CommandPolicy, CommandRule, PolicyFileError, UnknownCommand};

pub(crate) use judge::judge;
pub use shell::ParseError;
pub(crate) use shell::parse;
