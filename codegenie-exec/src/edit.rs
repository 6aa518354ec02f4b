//! Editing files beneath a root: checked, all or nothing, with undo.

#[cfg(target_os = "linux")]
mod coming;
#[cfg(target_os = "linux")]
mod commit;
#[cfg(target_os = "linux")]
mod confined;
#[cfg(target_os = "linux")]
mod editor;
mod error;
mod limits;
#[cfg(target_os = "linux")]
mod name;
mod outcome;
mod patch;
#[cfg(target_os = "linux")]
mod place;
#[cfg(target_os = "linux")]
mod plan;
#[cfg(target_os = "linux")]
mod protected;
#[cfg(target_os = "linux")]
mod record;
#[cfg(target_os = "linux")]
mod recovery;
#[cfg(target_os = "linux")]
mod repository;
mod request;
#[cfg(target_os = "linux")]
mod store;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "edits are made on Linux only"))]
mod text;
#[cfg(target_os = "linux")]
mod told;
#[cfg(not(target_os = "linux"))]
mod unavailable;
#[cfg(target_os = "linux")]
mod unified;
#[cfg(target_os = "linux")]
mod write;

#[cfg(target_os = "linux")]
pub use self::editor::Editor;
pub use self::error::{EditError, Refusal};
pub use self::limits::EditLimits;
pub use self::outcome::{Applied, BadUndoId, FileChange, Preview, UndoId};
pub use self::patch::{FilePatch, HunkPlace, Patch, PatchError, PatchLimits, Patched};
#[cfg(target_os = "linux")]
pub use self::recovery::Recovery;
pub use self::request::{BadHash, ContentHash, Edit};
#[cfg(not(target_os = "linux"))]
pub use self::unavailable::{Editor, Recovery};
