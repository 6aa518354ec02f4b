//! What is refused. Each test first shows that plain system calls would have done it.

use crate::place::Place;
use codegenie_exec::{Edit, EditError, Editor, Refusal};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn refused(place: &Place, path: impl AsRef<Path>) -> Refusal {
    let edits = [Edit::overwrite(path.as_ref(), "changed\n"), Edit::create(path.as_ref(), "changed\n")];
    let mut refusals = edits.map(|edit| {
        let before = place.seen();
        let error = place.editor().apply(&[edit]).unwrap_err();
        assert_eq!(place.seen(), before, "{error}");
        error.refusal().unwrap_or_else(|| panic!("{error}"))
    });
    refusals.sort_by_key(|refusal| matches!(refusal, Refusal::Missing | Refusal::Exists));
    refusals[0]
}

#[test]
fn links() {
    let place = Place::new(&[("real/f", "kept\n")]);
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("f"), "kept\n").unwrap();
    symlink(outside.path().join("f"), place.at("file-link")).unwrap();
    symlink(outside.path(), place.at("dir-link")).unwrap();
    symlink("real", place.at("inner-link")).unwrap();
    symlink("nowhere", place.at("dangling")).unwrap();
    symlink(format!("/proc/{}/root", std::process::id()), place.at("magic")).unwrap();
    for path in ["file-link", "dir-link/f", "inner-link/f"] {
        fs::write(place.at(path), "followed\n").unwrap();
    }
    assert_eq!(fs::read(outside.path().join("f")).unwrap(), b"followed\n");
    for path in ["file-link", "dir-link/f", "dir-link/new", "inner-link/f", "dangling", "magic/tmp/x"] {
        assert_eq!(refused(&place, path), Refusal::Symlink, "{path}");
    }
    let error = place.editor().apply(&[Edit::delete("file-link")]).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::Symlink));
    let error = place.editor().apply(&[Edit::rename("real/f", "dir-link/f2")]).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::Symlink));
    assert!(!outside.path().join("f2").exists());
}

#[test]
fn hard_links() {
    let place = Place::new(&[("f", "kept\n")]);
    let outside = tempfile::tempdir_in(place.workspace.path().parent().unwrap()).unwrap();
    fs::write(outside.path().join("secret"), "kept\n").unwrap();
    fs::hard_link(outside.path().join("secret"), place.at("link")).unwrap();
    fs::write(place.at("link"), "through\n").unwrap();
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"through\n");
    assert_eq!(refused(&place, "link"), Refusal::Hardlink);
}

#[test]
fn special_files_without_waiting_for_them() {
    let place = Place::new(&[]);
    nix::unistd::mkfifo(&place.at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.at("socket")).unwrap();
    fs::create_dir(place.at("directory")).unwrap();
    // Plain code reaches a reader through it, or would wait for one.
    let reader = std::thread::spawn({
        let path = place.at("fifo");
        move || fs::read(path).unwrap()
    });
    fs::write(place.at("fifo"), "reached").unwrap();
    assert_eq!(reader.join().unwrap(), b"reached");
    for path in ["fifo", "socket", "directory"] {
        assert_eq!(refused(&place, path), Refusal::NotAFile, "{path}");
    }
    place.put("file", "");
    assert_eq!(refused(&place, "file/below"), Refusal::NotAFile);
}

#[test]
fn what_is_outside() {
    let place = Place::new(&[("a/f", "kept\n")]);
    let outside = tempfile::tempdir_in(place.workspace.path().parent().unwrap()).unwrap();
    let up = Path::new("..").join(outside.path().file_name().unwrap()).join("f");
    fs::write(place.at(&up), "reached\n").unwrap();
    assert!(outside.path().join("f").exists());
    for path in [
        up.as_path(),
        Path::new("a/../a/f"),
        &outside.path().join("f"),
        Path::new("/etc/passwd"),
        Path::new(".."),
    ] {
        assert_eq!(refused(&place, path), Refusal::Outside, "{}", path.display());
    }
}

#[test]
fn paths_that_are_none() {
    let place = Place::new(&[("f", "kept\n")]);
    let root = place.workspace.path().canonicalize().unwrap();
    let long = "x".repeat(256);
    for path in ["", "a\0b", "f/", "d/", ".", "./", long.as_str(), root.to_str().unwrap()] {
        assert_eq!(refused(&place, path), Refusal::BadPath, "{path:?}");
    }
}

#[test]
fn names_that_are_not_what_they_seem() {
    let place = Place::new(&[]);
    let names = [
        "a\u{202e}txt.exe",
        "a\u{200b}b",
        "line\nbreak",
        "esc\u{1b}[2J",
        "tag\u{e0041}",
        "fill\u{3164}er",
        "d\u{2066}/f",
    ];
    for name in names {
        place.put(name, "plain code makes it\n");
        fs::remove_file(place.at(name)).unwrap();
        assert_eq!(refused(&place, name), Refusal::InvisibleName, "{name:?}");
    }
    place.editor().apply(&[Edit::create("ünïcode 名前 🙂.txt", "fine")]).unwrap();
}

#[test]
fn names_that_look_like_one_that_is_there() {
    let place =
        Place::new(&[("Makefile", "kept\n"), ("caf\u{e9}", "kept\n"), ("src/x", ""), ("stra\u{df}e", "")]);
    let names = [
        "makefile",
        "MAKEFILE",
        "cafe\u{301}",
        "Src/y",
        "\u{ff4d}akefile",
        "Makefile.",
        "STRASSE",
        "ma\u{212a}efile",
    ];
    for name in names {
        place.put(name, "plain code makes it\n");
        fs::remove_file(place.at(name)).unwrap();
        let _ = fs::remove_dir(place.at("Src"));
        assert_eq!(refused(&place, name), Refusal::LookAlike, "{name:?}");
    }
    let both = [Edit::create("new", ""), Edit::create("NEW", "")];
    assert_eq!(place.editor().apply(&both).unwrap_err().refusal(), Some(Refusal::LookAlike));
    // The other name goes: then it is only a change of case.
    place.editor().apply(&[Edit::rename("Makefile", "makefile")]).unwrap();
    assert_eq!(place.read("makefile"), b"kept\n");
}

#[test]
fn what_a_host_runs_or_trusts() {
    let place = Place::new(&[]);
    let paths = [
        ".git/hooks/pre-commit",
        ".git/config",
        "vendored/lib/.git/config",
        ".GIT/config",
        ".Git/hooks/x",
        ".gi\u{ff54}/config",
        ".git./config",
        ".git /config",
        "git~1/config",
        "sub/.vscode/tasks.json",
        ".bashrc",
        ".ssh/authorized_keys",
        ".envrc",
        ".cargo/config.toml",
        ".claude/settings.json",
    ];
    for path in paths {
        place.put(path, "plain code makes it\n");
        assert_eq!(refused(&place, path), Refusal::Protected, "{path:?}");
        let error = place.editor().apply(&[Edit::delete(path)]).unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::Protected), "{path:?}");
    }
    place.put("f", "x");
    let error = place.editor().apply(&[Edit::rename("f", ".git/hooks/post-checkout")]).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::Protected));
    let editor = place.editor().dangerously_allow_protected(".git/config");
    editor.apply(&[Edit::overwrite(".git/config", "named\n")]).unwrap();
    let error = editor.apply(&[Edit::create(".git/hooks/other", "")]).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::Protected));
    // Alike, but none of them.
    place.editor().apply(&[Edit::create(".gitignore", ""), Edit::create("git/config", "")]).unwrap();
}

#[test]
fn what_commands_are_asked_about_is_not_edited_either() {
    let place = Place::new(&[]);
    let executed = [
        ".gitmodules",
        ".inputrc",
        ".vimrc",
        ".tmux.conf",
        ".screenrc",
        ".emacs",
        ".emacs.d/init.el",
        ".curlrc",
        ".wgetrc",
        ".pam_environment",
        ".xprofile",
        ".kshrc",
        ".local/bin/ls",
        ".config/any/settings",
        ".cargo/bin/cargo",
        ".direnv/x",
        "CVS/Root",
        ".codex/config.toml",
        ".gemini/settings.json",
        ".yarnrc",
        "sub/rust-toolchain.toml",
        ".mise.toml",
        ".pre-commit-config.yaml",
        "keys/authorized_keys",
    ];
    for path in executed {
        assert_eq!(refused(&place, path), Refusal::Protected, "{path}");
    }
    for path in [".gitattributes", ".github/workflows/ci.yml", ".gitignore", "config/any", "local/bin/x"] {
        place.editor().apply(&[Edit::create(path, "x\n")]).unwrap();
    }
}

#[test]
fn a_repository_by_another_name() {
    let place = Place::new(&[("docs/HEAD", ""), ("docs/objects/x", ""), ("docs/refs/x", "")]);
    place.put("docs/config", "plain code makes it\n");
    for path in ["docs/config", "docs/hooks/post-checkout", "docs/new"] {
        assert_eq!(refused(&place, path), Refusal::Protected, "{path}");
    }
    let place = Place::new(&[("d/config", "")]);
    let build = ["d/HEAD", "d/objects/x", "d/refs/x"].map(|path| Edit::create(path, ""));
    for (a, b, c) in [(0, 1, 2), (2, 0, 1), (1, 2, 0)] {
        let edits = [build[a].clone(), build[b].clone(), build[c].clone()];
        assert_eq!(place.editor().apply(&edits).unwrap_err().refusal(), Some(Refusal::Protected));
    }
    place.editor().apply(&build[..2]).unwrap();
    assert_eq!(place.editor().apply(&build[2..]).unwrap_err().refusal(), Some(Refusal::Protected));
}

#[test]
fn a_repository_in_several_parts() {
    let hex = "0123456789abcdef0123456789ABCDEF01234567\n".to_owned();
    for head in ["ref: refs/heads/main\n".to_owned(), "ref:\trefs/x".to_owned(), hex] {
        let place = Place::new(&[]);
        // Git follows `commondir` to the rest.
        let parts = [
            Edit::create("sub/HEAD", head.clone()),
            Edit::create("sub/commondir", "../c\n"),
            Edit::create("c/objects/keep", ""),
            Edit::create("c/refs/keep", ""),
            Edit::create("c/config", "[core]\n"),
        ];
        let before = place.seen();
        let error = place.editor().apply(&parts).unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::Protected), "{error}");
        assert_eq!(place.seen(), before);
        // Alone, too, and by a detour.
        let ways = [
            vec![parts[0].clone()],
            vec![Edit::create("head", head.clone())],
            vec![Edit::create("x", head.clone()), Edit::rename("x", "HEAD")],
            vec![Edit::create("HEAD", "x"), Edit::replace("HEAD", "x", head.clone())],
        ];
        for way in ways {
            let error = place.editor().apply(&way).unwrap_err();
            assert_eq!(error.refusal(), Some(Refusal::Protected), "{way:?}");
        }
        // One that is there is not edited: not even taken away, which an undo would have to bring back.
        place.put("HEAD", &head);
        let error = place.editor().apply(&[Edit::delete("HEAD")]).unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::Protected));
        let allowed = place.editor().dangerously_allow_protected("HEAD");
        let made = allowed.apply(&[Edit::delete("HEAD")]).unwrap();
        allowed.undo(&made.undo).unwrap();
    }
    for beside in ["commondir", "gitdir", "config.worktree", "ConfiG.worktree"] {
        let both = [Edit::create("d/HEAD", "any\n"), Edit::create(format!("d/{beside}"), "x\n")];
        for edits in [both.to_vec(), both.iter().rev().cloned().collect()] {
            let place = Place::new(&[]);
            let error = place.editor().apply(&edits).unwrap_err();
            assert_eq!(error.refusal(), Some(Refusal::Protected), "{edits:?}");
            // What is there is there as the file system finds it.
            if beside != beside.to_lowercase() {
                continue;
            }
            place.editor().apply(&edits[..1]).unwrap();
            let error = place.editor().apply(&edits[1..]).unwrap_err();
            assert_eq!(error.refusal(), Some(Refusal::Protected), "{edits:?}");
        }
    }
    // A part that goes away for a while counts.
    let place = Place::new(&[]);
    let detour = [
        Edit::create("d/HEAD", "any\n"),
        Edit::rename("d/HEAD", "z"),
        Edit::create("d/objects/x", ""),
        Edit::create("d/refs/x", ""),
        Edit::rename("z", "d/HEAD"),
    ];
    assert_eq!(place.editor().apply(&detour).unwrap_err().refusal(), Some(Refusal::Protected));
    // As it is spelled where case does not count.
    let spelled = ["d/head", "d/Objects/x", "d/REFS/x"].map(|path| Edit::create(path, ""));
    assert_eq!(place.editor().apply(&spelled).unwrap_err().refusal(), Some(Refusal::Protected));
    // Alike, but none of them.
    let fine = [
        Edit::create("HEAD", "reference: none\n"),
        Edit::create("HEAD.md", "ref: x\n"),
        Edit::create("other/commondir", "x\n"),
        Edit::create("other/config", "x\n"),
    ];
    place.editor().apply(&fine).unwrap();
}

#[test]
fn deep_paths() {
    let place = Place::new(&[]);
    let deep = |depth: usize, name: &str| format!("{}{name}", "d/".repeat(depth - 1));
    assert_eq!(refused(&place, deep(65, "f")), Refusal::BadPath);
    // Many, as deep as they may be: in seconds, also unoptimised.
    let since = std::time::Instant::now();
    let edits: Vec<Edit> = (0..400).map(|n| Edit::create(deep(64, &format!("f{n}")), "")).collect();
    assert_eq!(place.editor().preview(&edits).unwrap().files.len(), 400);
    let edits: Vec<Edit> =
        (0..400).map(|n| Edit::create(format!("{}f", format!("d{n}/").repeat(63)), "")).collect();
    assert_eq!(place.editor().preview(&edits).unwrap().files.len(), 400);
    assert!(since.elapsed() < std::time::Duration::from_secs(30), "{:?}", since.elapsed());
}

#[test]
fn set_id_files() {
    let place = Place::new(&[("f", "kept\n")]);
    fs::set_permissions(place.at("f"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::write(place.at("f"), "plain code writes it\n").unwrap();
    fs::set_permissions(place.at("f"), fs::Permissions::from_mode(0o4755)).unwrap();
    assert_eq!(refused(&place, "f"), Refusal::Privileged);
}

#[test]
fn binary_and_large_files() {
    let place = Place::new(&[]);
    place.put("binary", b"a\0b\n");
    for edit in [Edit::replace("binary", "a", "b"), Edit::replace_lines("binary", 1, 1, "x\n")] {
        assert_eq!(place.editor().apply(&[edit]).unwrap_err().refusal(), Some(Refusal::Binary));
    }
    place.editor().apply(&[Edit::overwrite("binary", b"a\0c\n")]).unwrap();
    place.put("large", "x".repeat(2000));
    let editor = place.editor_with(|limits| limits.file_bytes = 1000);
    assert_eq!(
        editor.apply(&[Edit::replace("large", "y", "z")]).unwrap_err().refusal(),
        Some(Refusal::TooLarge)
    );
    assert_eq!(
        editor.apply(&[Edit::create("n", "x".repeat(1001))]).unwrap_err().refusal(),
        Some(Refusal::TooLarge)
    );
    let editor = place.editor_with(|limits| limits.transaction_bytes = 1000);
    let many: Vec<Edit> = (0..20).map(|n| Edit::create(format!("n{n}"), "x".repeat(100))).collect();
    assert!(matches!(editor.apply(&many), Err(EditError::TooLarge(_))));
    let editor = place.editor_with(|limits| limits.edits = 2);
    assert!(matches!(editor.apply(&many), Err(EditError::TooLarge(_))));
    let editor = place.editor_with(|limits| limits.undo_bytes = 100);
    assert!(matches!(editor.apply(&[Edit::delete("large")]), Err(EditError::TooLarge(_))));
    assert!(place.at("large").exists() && !place.at("n0").exists());
}

#[test]
fn state_in_the_workspace_or_open_to_others() {
    let place = Place::new(&[]);
    fs::create_dir(place.at("state")).unwrap();
    fs::set_permissions(place.at("state"), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(matches!(Editor::open(place.workspace.path(), place.at("state")), Err(EditError::Unsuitable(_))));
    fs::set_permissions(place.state.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(
        Editor::open(place.workspace.path(), place.state.path()),
        Err(EditError::Unsuitable(_))
    ));
}
