//! Applies a unified diff to a directory as one transaction, or takes one back.
//!
//! ```sh
//! git diff | cargo run --example edit_files -- --preview DIRECTORY
//! git diff | cargo run --example edit_files -- DIRECTORY
//! cargo run --example edit_files -- --undo ID DIRECTORY
//! ```
//!
//! The journal lies in `$XDG_STATE_HOME/codegenie/edit`, or `~/.local/state/codegenie/edit`.

use codegenie_exec::{Applied, EditLimits, Editor, FileChange, Patch, PatchLimits};
use std::error::Error;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: edit_files [--preview | --undo ID] [--strip N] [--exact] DIRECTORY < DIFF";
/// What a diff may be: far above what a transaction takes.
const MAX_DIFF: u64 = 128 << 20;

#[derive(Default)]
struct Options {
    preview: bool,
    undo: Option<String>,
    exact: bool,
    strip: usize,
    directory: Option<PathBuf>,
}

fn options() -> Option<Options> {
    let mut options = Options { strip: 1, ..Options::default() };
    let mut args = std::env::args_os().skip(1);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--preview") => options.preview = true,
            Some("--exact") => options.exact = true,
            Some("--undo") => options.undo = Some(args.next()?.into_string().ok()?),
            Some("--strip") => options.strip = args.next()?.to_str()?.parse().ok()?,
            Some(other) if other.starts_with('-') => return None,
            _ if options.directory.is_some() => return None,
            _ => options.directory = Some(arg.into()),
        }
    }
    options.directory.is_some().then_some(options)
}

fn state() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(base.join("codegenie/edit"))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let directory = options.directory.as_deref().ok_or(USAGE)?;
    let mut limits = EditLimits::default();
    if options.exact {
        limits.patch = PatchLimits::exact();
    }
    let state = state().ok_or("neither XDG_STATE_HOME nor HOME says where the journal is kept")?;
    let editor = Editor::open_with(directory, state, limits)?;
    if !editor.recovered().is_empty() {
        eprintln!("interrupted before, and recovered: {:?}", editor.recovered());
    }
    if let Some(id) = &options.undo {
        return told(&editor.undo(&id.parse()?)?);
    }
    let mut diff = Vec::new();
    std::io::stdin().lock().take(MAX_DIFF).read_to_end(&mut diff)?;
    let edits = Patch::parse(&diff)?.edits(options.strip)?;
    if options.preview {
        return shown(&editor.preview(&edits)?.files);
    }
    told(&editor.apply(&edits)?)
}

fn told(applied: &Applied) -> Result<(), Box<dyn Error>> {
    shown(&applied.files)?;
    println!("undo: {}", applied.undo);
    Ok(())
}

fn shown(files: &[FileChange]) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for file in files {
        let path = file.path.to_string_lossy().escape_debug().to_string();
        writeln!(out, "{path}: {} lines came, {} went", file.added, file.removed)?;
        for hunk in file.hunks.iter().filter(|hunk| hunk.fuzz > 0 || hunk.offset != 0) {
            writeln!(out, "  at line {}: {} lines off, fuzz {}", hunk.line, hunk.offset, hunk.fuzz)?;
        }
        // What a file holds must not reach the terminal as commands for it.
        for line in String::from_utf8_lossy(&file.diff).lines() {
            let plain: String =
                line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
            writeln!(out, "  {plain}")?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
