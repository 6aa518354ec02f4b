//! Policy files beside what is in force, and files that are no policy, or not all of one.

use codegenie_security::{
    AccessControl, AccessRequest, Policy, PolicyFile, PolicyFormat, Reload, Session, SessionRequest,
};

const ALLOWING: &str = "[roles.d]\nallow = ['a:b']\n[users.alice]\nroles = ['d']\n";
const EMPTY: &str = "[roles.d]\n[users.alice]\nroles = ['d']\n";

fn may(access: &AccessControl, session: &Session) -> bool {
    access.permit(session, "a", "b").is_allowed()
}

#[test]
fn each_access_control_is_compared_with_what_is_in_force_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    std::fs::write(&path, ALLOWING).unwrap();
    let file = PolicyFile::new(&path);
    let [one, two] = [(); 2].map(|()| AccessControl::new(file.load().unwrap()));
    let (_, session) = two.open_session(SessionRequest::new("alice")).unwrap();
    std::fs::write(&path, EMPTY).unwrap();
    assert_eq!(file.reload(&one).unwrap(), Reload::Replaced);
    assert!(may(&two, &session));
    assert_eq!(file.reload(&two).unwrap(), Reload::Replaced);
    assert!(!may(&two, &session));
    assert_eq!(file.reload(&two).unwrap(), Reload::Unchanged);
    assert_eq!(file.reload(&one).unwrap(), Reload::Unchanged);
}

#[test]
fn a_policy_that_came_from_elsewhere_is_replaced_by_that_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    std::fs::write(&path, EMPTY).unwrap();
    let file = PolicyFile::new(&path);
    let access = AccessControl::new(file.load().unwrap());
    let (_, session) = access.open_session(SessionRequest::new("alice")).unwrap();
    access.replace_policy(Policy::parse(ALLOWING, PolicyFormat::Toml).unwrap());
    assert!(may(&access, &session));
    assert_eq!(file.reload(&access).unwrap(), Reload::Replaced);
    assert!(!may(&access, &session));
    // What was loaded and not used is not in force.
    std::fs::write(&path, ALLOWING).unwrap();
    drop(file.load().unwrap());
    assert_eq!(file.reload(&access).unwrap(), Reload::Replaced);
    assert!(may(&access, &session));
}

/// Would hang for good if the pipe were waited for.
#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let file = PolicyFile::new(&path);
    let access = AccessControl::new(Policy::builder().build().unwrap());
    for error in [file.load().unwrap_err(), file.reload(&access).unwrap_err()] {
        assert!(error.to_string().contains("no regular file"), "{error}");
    }
    for other in [dir.path(), std::path::Path::new("/dev/zero")] {
        let error = PolicyFile::new(other).load().unwrap_err();
        assert!(error.to_string().contains("no regular file"), "{error}");
    }
}

#[test]
fn no_more_is_read_of_a_file_than_a_policy_may_have() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    // A hole: it takes no room.
    std::fs::File::create(&path).unwrap().set_len(1 << 36).unwrap();
    let error = PolicyFile::new(&path).load().unwrap_err();
    assert!(error.to_string().contains("67108864"), "{error}");
}

#[test]
fn half_a_policy_that_says_it_has_an_end_is_refused() {
    let whole = "end_marked = true\n[roles.d]\nallow=['*:**']\n[users.alice]\nroles=['d']\ndeny=['delete:**']\n[end]\n";
    let deletes = |policy: &Policy| policy.decide(&AccessRequest::new("alice", "delete", "x")).is_allowed();
    let parse = |text: &str| Policy::parse(text, PolicyFormat::Toml);
    let policy = parse(whole).unwrap();
    assert!(policy.decide(&AccessRequest::new("alice", "read", "x")).is_allowed() && !deletes(&policy));
    for cut in 0..whole.len() - 1 {
        let half = &whole[..cut];
        assert!(parse(half).is_ok_and(|policy| policy.rules() == 0) || parse(half).is_err(), "{half:?}");
    }
    let error = parse(whole.strip_suffix("[end]\n").unwrap()).unwrap_err();
    assert!(error.to_string().contains("[end]"), "{error}");
    parse(&format!("{whole}\n\n")).unwrap();
    // In the middle it is the end of nothing, and it holds nothing.
    assert!(parse("end_marked = true\n[end]\n[roles.d]\nallow=['*:**']\n").is_err());
    assert!(parse("end_marked = true\n[roles.d]\n[end]\nallow=['*:**']\n").is_err());
    assert!(parse("[roles.d]\n[end]\n[users.u]\n").is_err(), "an end that is not announced is none");
    parse("[roles.d]\n[users.u]\n").unwrap();
    // Of JSON half a text is none.
    Policy::parse(r#"{"end_marked": true, "end": {}}"#, PolicyFormat::Json).unwrap();
    assert!(Policy::parse(r#"{"end_marked": true}"#, PolicyFormat::Json).is_err());
}
