//! What an executor is built of, and what it is not built of.

use super::*;
use codegenie_exec::{Grants, PolicyFile};
use std::path::Path;

#[test]
fn a_workspace_is_a_directory_that_exists() {
    let world = World::new();
    let build = |policy: SandboxPolicy| {
        SecureExecutor::builder(Fake::default(), world.access.clone(), policy)
            .audit(world.audit.clone())
            .build()
    };
    let file = world.workspace.path().join("file");
    std::fs::write(&file, "text").unwrap();
    assert!(matches!(build(SandboxPolicy::default()), Err(BuildError::NoWorkspace)));
    assert!(matches!(build(SandboxPolicy::read_only(&file)), Err(BuildError::NoWorkspace)));
    assert!(matches!(build(SandboxPolicy::workspace_write(&file)), Err(BuildError::Confinement(_))));
    assert!(matches!(build(SandboxPolicy::workspace_write("/missing/x")), Err(BuildError::Confinement(_))));
    assert!(matches!(build(SandboxPolicy::workspace_write("x")), Err(BuildError::Confinement(_))));
    assert!(build(SandboxPolicy::read_only(world.workspace.path())).is_ok());
}

/// A policy file is on record, loaded or not, and what cannot be recorded is not given.
#[test]
fn policy_files_are_recorded() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("policy.toml");
    let sink = Memory::new(|_| false);
    std::fs::write(&path, "default = \"deny\"\n").unwrap();
    CommandPolicy::load_recorded(&path, &sink).unwrap();
    std::fs::write(&path, "default = \"perhaps\"\n").unwrap();
    let error = CommandPolicy::load_recorded(&path, &sink).unwrap_err().to_string();
    assert!(error.contains("line 1") && !error.contains('\n'), "{error}");
    let events = sink.events();
    let results: Vec<_> = events.iter().map(|event| (event.class, event.result)).collect();
    let configuration = EventClass::Configuration;
    assert_eq!(results, [(configuration, AuditResult::Success), (configuration, AuditResult::Failure)]);

    std::fs::write(&path, "default = \"deny\"\n").unwrap();
    CommandPolicy::load_recorded(&path, &Memory::new(|_| true)).unwrap_err();
}

#[test]
fn an_executor_that_is_not_built_is_on_record() {
    let world = World::new();
    let file = world.workspace.path().join("file");
    std::fs::write(&file, "").unwrap();
    let built = SecureExecutor::builder(
        world.sandbox.clone(),
        world.access.clone(),
        SandboxPolicy::workspace_write(file),
    )
    .audit(world.audit.clone())
    .build();
    assert!(built.err().unwrap().to_string().contains("is not a directory"));
    let events = world.audit.events();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].class, events[0].result), (EventClass::Configuration, AuditResult::Failure));
}

/// Whoever could write what decides about commands could allow themselves everything.
#[test]
fn what_decides_about_commands_is_not_theirs_to_write() {
    let world = World::new();
    let workspace = world.workspace.path();
    let outside = tempfile::tempdir().unwrap();
    let build = |confinement: SandboxPolicy, policy: &Path, grants: &Path| {
        std::fs::write(policy, "default = \"ask\"\n").unwrap();
        SecureExecutor::builder(Fake::default(), world.access.clone(), confinement)
            .audit(world.audit.clone())
            .command_policy_file(PolicyFile::open(policy).unwrap())
            .grants(Grants::open(grants).unwrap())
            .build()
            .err()
    };
    let writes = || SandboxPolicy::workspace_write(workspace);
    let named = |name: &str| {
        let path = workspace.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    let (policy, grants) = (outside.path().join("policy.toml"), outside.path().join("grants.json"));
    assert!(build(writes(), &policy, &grants).is_none());
    let refused = |error: Option<BuildError>, expected: &str| {
        assert!(
            matches!(error, Some(BuildError::WritableByCommands { what, .. }) if what == expected),
            "{error:?}"
        );
    };
    refused(build(writes(), &named("policy.toml"), &grants), "command policy");
    refused(build(writes(), &named("sub/policy.toml"), &grants), "command policy");
    refused(build(writes(), &policy, &named("grants.json")), "file of grants");
    // Through a link it is the same file.
    std::os::unix::fs::symlink(workspace, outside.path().join("link")).unwrap();
    refused(build(writes(), &policy, &outside.path().join("link/grants.json")), "file of grants");
    // In a folder that is read-only right below the workspace it stays what it is; deeper, its folders can be renamed.
    let kept = named(".claude/policy.toml");
    assert!(build(writes(), &kept, &grants).is_none());
    let deeper = named("sub/kept/policy.toml");
    refused(build(writes().read(workspace.join("sub/kept")), &deeper, &grants), "command policy");
    refused(build(writes().write(workspace.join(".claude")), &kept, &grants), "command policy");
    // A file that is read-only itself is one until the host replaces it.
    let alone = named("alone.toml");
    refused(build(writes().read(&alone), &alone, &grants), "command policy");
    // A link in the workspace is the command's to turn elsewhere, and is not followed again.
    std::os::unix::fs::symlink(outside.path(), workspace.join("conf")).unwrap();
    assert!(build(writes(), &workspace.join("conf/policy.toml"), &grants).is_none());
    let file = PolicyFile::open(workspace.join("conf/policy.toml")).unwrap();
    assert_eq!(file.path(), policy.canonicalize().unwrap());
    // Where nothing can be written, anywhere will do.
    assert!(
        build(SandboxPolicy::read_only(workspace), &named("policy.toml"), &named("grants.json")).is_none()
    );
}

/// What is edited for agents, and the journal that edits are taken back by, are nothing that decides about them.
#[cfg(all(feature = "edit", target_os = "linux"))]
#[test]
fn an_editor_does_not_reach_what_decides() {
    use codegenie_exec::Editor;
    let world = World::new();
    let workspace = world.workspace.path();
    let (outside, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let build = |confinement: SandboxPolicy, root: &Path, state: &Path, policy: &Path| {
        std::fs::create_dir_all(policy.parent().unwrap()).unwrap();
        std::fs::write(policy, "default = \"ask\"\n").unwrap();
        SecureExecutor::builder(Fake::default(), world.access.clone(), confinement)
            .audit(world.audit.clone())
            .command_policy_file(PolicyFile::open(policy).unwrap())
            .editor(Editor::open(root, state).unwrap())
            .build()
            .err()
    };
    let (theirs, policy) = (workspace.join("settings/policy.toml"), outside.path().join("policy.toml"));
    std::fs::create_dir(workspace.join("settings")).unwrap();
    let writes = || SandboxPolicy::workspace_write(workspace).read(workspace.join("settings"));
    assert!(build(writes(), workspace, &state.path().join("edits"), &policy).is_none());
    let error = build(writes(), workspace, &state.path().join("edits"), &theirs);
    assert!(
        matches!(error, Some(BuildError::WritableByCommands { what: "command policy", .. })),
        "{error:?}"
    );
    std::fs::create_dir(workspace.join("sub")).unwrap();
    let error = build(writes(), &workspace.join("sub"), &workspace.join("edits"), &policy);
    assert!(
        matches!(error, Some(BuildError::WritableByCommands { what: "editor's journal", .. })),
        "{error:?}"
    );
}
