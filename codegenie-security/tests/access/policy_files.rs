//! Policies as texts: both formats, and where an error is.

use crate::{control, start};
use codegenie_security::{
    AccessRequest, Policy, PolicyError, PolicyFile, PolicyFormat, Reload, SessionRequest,
};
use proptest::prelude::*;

const TOML: &str = r#"
actions = ["read", "write"]

[roles.reader]
allow = ["read:/src/**"]

[roles.dev]
inherits = ["reader"]
allow = [{ permission = "write:/src/**", when = { level = 1, tags = { network = "internal" }, labels = ["ok"], hours = "08:00-18:00", weekdays = "mon-fri", utc_offset = 60 }, until = "2100-01-01T00:00:00+02:00" }]
deny = ["*:/src/secret/**"]

[users.alice]
roles = ["reader", { role = "dev", until = "2027-01-15T10:00:00+01:00" }]
allow = ["read:/etc/motd"]
deny = ["read:/src/b"]

[[separations]]
roles = ["reader", "dev"]
in_one_session = true
"#;

const JSON: &str = r#"{
  "actions": ["read", "write"],
  "roles": {
    "reader": { "allow": ["read:/src/**"] },
    "dev": {
      "inherits": ["reader"],
      "allow": [{ "permission": "write:/src/**", "when": { "level": 1, "tags": { "network": "internal" },
        "labels": ["ok"], "hours": "08:00-18:00", "weekdays": "mon-fri", "utc_offset": 60 },
        "until": "2100-01-01T00:00:00+02:00" }],
      "deny": ["*:/src/secret/**"]
    }
  },
  "users": { "alice": {
    "roles": ["reader", { "role": "dev", "until": "2027-01-15T10:00:00+01:00" }],
    "allow": ["read:/etc/motd"], "deny": ["read:/src/b"] } },
  "separations": [{ "roles": ["reader", "dev"], "in_one_session": true }]
}"#;

#[test]
fn both_formats_say_the_same() {
    let [toml, json] = [(TOML, PolicyFormat::Toml), (JSON, PolicyFormat::Json)]
        .map(|(text, format)| Policy::parse(text, format).unwrap());
    let tags = [("network".to_owned(), "internal".to_owned())];
    let labels = ["ok".into()];
    for policy in [&toml, &json] {
        assert_eq!(policy.roles_of("alice").unwrap(), ["reader", "dev"]);
        let ask = |action, resource| {
            let request = AccessRequest::new("alice", action, resource)
                .at(start())
                .level(1)
                .tags(&tags)
                .labels(&labels);
            policy.decide(&request).to_string()
        };
        assert!(ask("read", "/src/a").starts_with("allowed by allow read:/src/**"));
        assert!(ask("read", "/src/b").starts_with("denied by deny read:/src/b of user"));
        assert!(ask("read", "/etc/motd").starts_with("allowed"));
        let write = ask("write", "/src/a");
        assert!(write.starts_with(
            r#"allowed by allow write:/src/** when session level 1 and label "ok" and tag network="internal" and 08:00 to 18:00 and mon,tue,wed,thu,fri and UTC+1:00 until 4102437600 s"#
        ), "{write}");
        let late = AccessRequest::new("alice", "write", "/src/a")
            .at(start() + std::time::Duration::from_secs(86_400));
        assert!(!policy.decide(&late.level(1).tags(&tags).labels(&labels)).is_allowed(), "no longer a dev");
    }
    let request = AccessRequest::new("alice", "read", "/src/secret/k").at(start());
    let lines = |policy: &Policy| {
        let mut lines: Vec<_> = policy.explain(&request).to_string().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&toml), lines(&json));
}

#[test]
fn errors_tell_line_and_column_in_both_formats() {
    let toml = |text: &str| Policy::parse(text, PolicyFormat::Toml).unwrap_err();
    let json = |text: &str| Policy::parse(text, PolicyFormat::Json).unwrap_err();
    let place =
        |error: &codegenie_security::PolicyFileError| (error.line().unwrap(), error.column().unwrap());

    let error = toml("[roles.a]\nallow = [\"read:x\",\n  \"read:/a**\"]\n");
    assert_eq!(place(&error), (3, 3), "{error}");
    assert!(matches!(error.policy_error(), Some(PolicyError::BadResource { .. })));
    assert!(
        error.to_string().starts_with("line 3, column 3: permission \"read:/a**\" of role \"a\""),
        "{error}"
    );
    let error = json("{\"roles\": {\"a\": {\"allow\": [\"x:,]}\\\"\",\n   \"read:/a**\"]}}}");
    assert_eq!(place(&error), (2, 4), "{error}");
    let error = json("{\"roles\": {\"a\": {\"deny\": [{\"permission\": \"nothing\"}]}}}");
    assert_eq!(place(&error), (1, 27), "{error}");

    let error = toml("[roles.a]\ninherits = [\"b\"]\n[roles.b]\ninherits = [\"c\", \"a\"]\n[roles.c]\n");
    assert_eq!(place(&error), (4, 18), "{error}");
    assert!(matches!(error.policy_error(), Some(PolicyError::Cycle { .. })));
    let error = toml("[users.u]\nroles = [\"ghost\"]\n");
    assert_eq!(place(&error), (2, 10), "{error}");
    let error = json("{\"users\": {\"u\": {\"roles\": [\"ghost\"]}}}");
    assert_eq!(place(&error), (1, 28), "{error}");
    let error = toml(
        "[roles.a]\n[roles.b]\n[users.u]\nroles = [\"a\", \"b\"]\n[[separations]]\nroles = [\"a\", \"b\"]\n",
    );
    assert_eq!(place(&error), (4, 9), "{error}");
    let error = toml("[[separations]]\nroles = [\n\"ghost\"]\n");
    assert_eq!(place(&error), (3, 1), "{error}");

    // What the parsers find themselves.
    for (error, line) in [
        (toml("[roles.a]\nallow = 3\n"), 2),
        (toml("[roles.a]\nalow = []\n"), 2),
        (toml("[roles.a]\n[roles.a]\n"), 2),
        (toml("= =\n"), 1),
        (toml("[users.u]\nroles = [{ role = \"a\", until = \"tomorrow\" }]\n"), 2),
        (toml("[roles.a]\nallow = [{ permission = \"a:x\", when = { hours = \"25:00-26:00\" } }]\n"), 2),
        (toml("[roles.a]\nallow = [{ permission = \"a:x\", when = { weekdays = \"never\" } }]\n"), 2),
        (json("{\n\"roles\": {\"a\": {}, \"a\": {}}}"), 2),
        (json("{\n\n\"role\": {}}"), 3),
        (json("[\n"), 2),
    ] {
        assert_eq!(error.line(), Some(line), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let deep = "[".repeat(100_000);
    assert!(
        Policy::parse(&deep, PolicyFormat::Json).is_err()
            && Policy::parse(&deep, PolicyFormat::Toml).is_err()
    );
}

#[test]
fn a_file_is_reloaded_when_it_changed_and_a_bad_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["policy.toml", "policy.json"] {
        let path = dir.path().join(name);
        let is_json = name.ends_with("json");
        let text = |action: &str| match is_json {
            true => format!(
                "{{\"roles\":{{\"r\":{{\"allow\":[\"{action}:x\"]}}}},\"users\":{{\"u\":{{\"roles\":[\"r\"]}}}}}}"
            ),
            false => format!("[roles.r]\nallow = [\"{action}:x\"]\n[users.u]\nroles = [\"r\"]\n"),
        };
        let file = PolicyFile::new(&path);
        let error = file.load().unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        std::fs::write(&path, text("read")).unwrap();
        let (access, _) = control(file.load().unwrap());
        let (_, session) = access.open_session(SessionRequest::new("u")).unwrap();
        let may = |action: &str| access.permit(&session, action, "x").is_allowed();
        assert_eq!(file.reload(&access).unwrap(), Reload::Unchanged);
        std::fs::write(&path, text("write")).unwrap();
        assert!(may("read"));
        assert_eq!(file.reload(&access).unwrap(), Reload::Replaced);
        assert!(may("write") && !may("read"));
        std::fs::write(&path, text("read\"")).unwrap();
        assert!(file.reload(&access).unwrap_err().line().is_some());
        assert!(may("write"), "the old one is in force");
        std::fs::remove_file(&path).unwrap();
        assert!(file.reload(&access).is_err() && may("write"));
        std::fs::write(&path, text("write")).unwrap();
        assert_eq!(file.reload(&access).unwrap(), Reload::Unchanged);
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}", cut in 0..TOML.len(), at in 0..JSON.len()) {
        for (sample, place, format) in [(TOML, cut, PolicyFormat::Toml), (JSON, at, PolicyFormat::Json)] {
            let _ = Policy::parse(&text, format);
            if sample.is_char_boundary(place) {
                let _ = Policy::parse(&sample[..place], format);
                let _ = Policy::parse(&format!("{}{text}{}", &sample[..place], &sample[place..]), format);
            }
        }
    }
}
