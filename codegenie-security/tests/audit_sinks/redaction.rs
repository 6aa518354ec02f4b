//! Secrets in texts and events.

use super::{Memory, event};
use codegenie_security::{AuditSink, AuditValue, RedactingSink, ThreatLevel, redact};
use proptest::prelude::*;
use std::time::{Duration, Instant};

#[test]
fn secrets_are_found_where_they_stand() {
    let jwt = format!("eyJ{}.{}.{}", "a".repeat(20), "b".repeat(20), "c".repeat(20));
    let cases = [
        ("DB_PASSWORD=hunter2 psql", "DB_PASSWORD=[redacted] psql"),
        ("export API_KEY='a b c'; ls", "export API_KEY='[redacted]'; ls"),
        ("PGPASSWORD=\"x y\" psql -h db", "PGPASSWORD=\"[redacted]\" psql -h db"),
        ("TOKEN=$'a b' ls", "TOKEN=$'[redacted]' ls"),
        ("mysql --password hunter2 -u root", "mysql --password [redacted] -u root"),
        ("mysql --password=hunter2", "mysql --password=[redacted]"),
        ("tool --api-key \"a b\" --verbose", "tool --api-key \"[redacted]\" --verbose"),
        ("curl -u ada:hunter2 https://x", "curl -u ada:[redacted] https://x"),
        ("curl --user 'ada:hunter2' https://x", "curl --user 'ada:[redacted]' https://x"),
        (
            "curl -H \"Authorization: Bearer abc.def\" https://x",
            "curl -H \"Authorization: Bearer [redacted]\" https://x",
        ),
        ("curl -H 'X-Api-Key: abc' https://x", "curl -H 'X-Api-Key: [redacted]' https://x"),
        ("Cookie: a=b; c=d", "Cookie: [redacted]"),
        ("git clone https://ada:p%40ss@example.org/x", "git clone https://ada:[redacted]@example.org/x"),
        (
            "curl https://example.org/?access_token=abc&x=1",
            "curl https://example.org/?access_token=[redacted]&x=1",
        ),
        (
            "{\"user\": \"ada\", \"password\": \"hun ter2\"}",
            "{\"user\": \"ada\", \"password\": \"[redacted]\"}",
        ),
        ("{\"client_secret\":\"x\"}", "{\"client_secret\":\"[redacted]\"}"),
        ("{\"authorization\": \"Basic YTpi\"}", "{\"authorization\": \"Basic [redacted]\"}"),
        ("password: hunter2\nuser: ada", "password: [redacted]\nuser: ada"),
        ("aws configure set x AKIAABCDEFGHIJKLMNOP", "aws configure set x [redacted]"),
        ("echo ghp_0123456789abcdefghijABCDEFGHIJ012345", "echo [redacted]"),
    ];
    for (text, expected) in cases {
        assert_eq!(redact(text), expected);
    }
    assert_eq!(redact(&format!("curl {jwt}")), "curl [redacted]");
    let key = "cat <<E\n-----BEGIN OPENSSH PRIVATE KEY-----\nabc\ndef\n-----END OPENSSH PRIVATE KEY-----\nE";
    assert_eq!(
        redact(key),
        "cat <<E\n-----BEGIN OPENSSH PRIVATE KEY-----[redacted]-----END OPENSSH PRIVATE KEY-----\nE"
    );
    assert_eq!(
        redact("KEY=-----BEGIN RSA PRIVATE KEY-----\nabc"),
        "KEY=-----BEGIN RSA PRIVATE KEY-----[redacted]"
    );
}

#[path = "../../fuzz/exercises/redaction.rs"]
mod exercise;

/// Each has `SECRET` in it, which goes.
const SECRETS: &[&str] = &[
    // After another one in the same word.
    "https://h/?token=a&api_key=SECRET",
    "https://ada:p@h/?token=SECRET",
    "PASSWORD=a&&TOKEN=SECRET",
    // After another sign.
    "https://h/?a=1&token=SECRET",
    "curl -d user=ada&password=SECRET",
    "docker run --env=DB_PASSWORD=SECRET x",
    "helm install --set=auth.password=SECRET",
    "JAVA_OPTS=-Dpassword=SECRET",
    "user[password]=SECRET",
    // Quotes and escapes.
    r#"{"password":"ab\"SECRET"}"#,
    r#"tool --password "ab\"SECRET""#,
    "PASSWORD=ab'SECRET'",
    "PASSWORD=\"a\"SECRET",
    "PASSWORD='a'\"SECRET b\" ls",
    "PASSWORD=ab)SECRET",
    r"PASSWORD=p\ SECRET",
    r#"{\"password\":\"SECRET\"}"#,
    r#"{\"password\": \"a b\\\"SECRET\"}"#,
    r"{'password': 'ab\'SECRET'}",
    // Headers.
    "X-Authorization: Bearer SECRET",
    "curl -HAuthorization: Bearer SECRET",
    "curl -H Authorization:SECRET",
    "AUTHORIZATION=Bearer SECRET",
    "Authorization: Bearer \"SECRET\"",
    "Authorization: Digest username=\"a\", response=\"SECRET\"",
    "Cookie: a=1; sid=SECRET",
    "curl -H 'Cookie: a=1; sid=SECRET' https://h",
    // Logins.
    "curl -uada:SECRET https://h",
    "curl -su ada:SECRET https://h",
    "curl --user=ada:SECRET https://h",
    "curl -u 'ada:my SECRET' https://h",
    "[\"curl\", \"-u\", \"ada:SECRET\"]",
    // Addresses.
    "https://proxy/https://ada:SECRET@h",
    "https://ada:a/SECRET@h",
    "https://ada:a#SECRET@h",
    "https://ada:a,SECRET@h",
    "https://ada:SECRET,b@h https://ada:SECRET/b@h",
    // Options.
    "tool --token -SECRET",
    "tool --token \\\n SECRET",
    "tool -token SECRET",
    "[\"--token\", \"SECRET\"]",
    // Files.
    "password = SECRET",
    "[db]\npassword = my SECRET words\nuser = ada",
    "password = \"SECRET\"",
    "token = ['a', 'SECRET']",
    "a: b\npassword: my SECRET words\nuser: ada",
    "- password: my SECRET",
    "  password: |\n    SECRET\n\n    SECRET\n  user: ada",
    "password: >-\n  a\n  SECRET\n",
    "{\"password\"\t:\"SECRET\"}",
    "{\"secrets\":[\"SECRET\"]}",
    "{\"secrets\": [\"]\", \"SECRET\"], \"a\": 1}",
    "{\"credentials\":{\"a\":\"SECRET\"}}",
    "{\"password\" => \"SECRET\"}",
    "const PASSWORD = \"SECRET\";",
    // Names.
    "PASSWORD_ANDROID=SECRET",
    "GITHUB_TOKEN_PROD=SECRET",
    "TOKEN1=SECRET",
    "API_TOKENS=SECRET",
];

#[test]
fn no_secret_is_left() {
    for text in SECRETS {
        let redacted = redact(text);
        assert!(!redacted.contains("SECRET") && redacted.contains("[redacted]"), "{text} became {redacted}");
        assert_eq!(redact(&redacted), redacted, "{text}");
    }
}

#[test]
fn what_stands_beside_a_secret_stays() {
    for (text, expected) in [
        ("https://h/?token=a&x=1&api_key=b#c", "https://h/?token=[redacted]&x=1&api_key=[redacted]"),
        ("https://ada:p@h/?token=x y", "https://ada:[redacted]@h/?token=[redacted] y"),
        ("PASSWORD=a&&TOKEN=b ls", "PASSWORD=[redacted]&&TOKEN=[redacted] ls"),
        ("(PASSWORD=ab) ls", "(PASSWORD=[redacted]) ls"),
        ("sh -c \"mysql --password=a\" && echo \"b\"", "sh -c \"mysql --password=[redacted]\" && echo \"b\""),
        ("{\"cmd\":\"x --token=a\",\"user\":\"b\"}", "{\"cmd\":\"x --token=[redacted]\",\"user\":\"b\"}"),
        ("{\"password\":1,\"user\":\"b\"}", "{\"password\":[redacted],\"user\":\"b\"}"),
        (r#"{\"password\":\"a\",\"b\":1}"#, r#"{\"password\":\"[redacted]\",\"b\":1}"#),
        ("{\"secrets\":[\"a\"],\"b\":1}", "{\"secrets\":[[redacted]],\"b\":1}"),
        ("curl -H 'Cookie: a=1; b=2' https://h", "curl -H 'Cookie: [redacted]' https://h"),
        ("curl -su ada:x https://h", "curl -su ada:[redacted] https://h"),
        ("mysql --password -u root", "mysql --password -u root"),
        ("password = a b\nuser = ada", "password = [redacted]\nuser = ada"),
        ("k:\n  password: |\n    a\n    b\n  user: ada", "k:\n  password: |\n    [redacted]\n  user: ada"),
        ("tool --token \\\n  a --b", "tool --token \\\n  [redacted] --b"),
        ("tool -token a b", "tool -token [redacted] b"),
        ("VAULT_SECRET_ID=a b", "VAULT_SECRET_ID=[redacted] b"),
    ] {
        assert_eq!(redact(text), expected);
    }
}

#[test]
fn tokens_are_found_in_words() {
    let token = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    let jwt = format!("eyJ{}.{}.{}", "a".repeat(20), "b".repeat(20), "c".repeat(20));
    for (text, expected) in [
        (format!("{token}@{token}"), "[redacted]@[redacted]"),
        (format!("a={token}@{token}"), "a=[redacted]@[redacted]"),
        (format!("{jwt}."), "[redacted]."),
        (format!("https://h/{jwt}/x.html"), "https://h/[redacted]/x.html"),
        (format!("eyJ-{jwt} a"), "[redacted] a"),
        (format!("/task-sk-1/sk-{}", "a1".repeat(12)), "/task-[redacted]"),
        (format!("sk-{}@{token}", "a1".repeat(12)), "[redacted]@[redacted]"),
    ] {
        assert_eq!(redact(&text), expected);
    }
}

#[test]
fn what_is_no_secret_stays() {
    for text in [
        "git status",
        "ls -la src/secrets.rs",
        "cargo test token",
        "llm --max-tokens 100",
        "PWD=/home/ada ls",
        "id -u ada",
        "docker run -u 1000:1000 x --name y",
        "grep -r password src",
        "ssh-keygen -f key",
        "--password-file=/run/secret/x",
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
        "https://example.org:8443/a@b",
        "ask-for-a-long-word-that-begins-like-none",
        "tokenizer=bpe",
        "llm --tokenizer bpe",
        "bypass=1",
        "keyboard: us layout",
        "token_count=3",
        "password_policy=strict rules",
        "max_tokens: 100",
        "{\"max_tokens\": 100, \"prompt_tokens\":3}",
        "find . -name x -path y",
        "rsync -vu host:/a /b",
        "git push -u origin main:main",
        "if (a == b) return c;",
        "https://[::1]:80/a@b",
        "",
    ] {
        let redacted = redact(text);
        // A user and a group by number look like a login.
        if !text.contains("1000:1000") {
            assert_eq!(redacted, text);
        }
    }
}

#[test]
fn events_lose_their_secrets_and_say_so() {
    let sink = RedactingSink::new(Memory::default());
    let told = event("deploy --token abc", ThreatLevel::None)
        .detail("password", "hunter2")
        .detail("argv", vec!["-H".to_owned(), "Authorization: Bearer x".to_owned(), "plain".to_owned()])
        .detail("note", "nothing")
        .detail("count", 3_i64);
    sink.record(&told).unwrap();
    sink.record(&event("git status", ThreatLevel::None)).unwrap();
    let events = sink.sink().events.lock().unwrap();
    assert_eq!(events[0].resource, "deploy --token [redacted]");
    assert_eq!(events[0].get_detail("password"), Some(&AuditValue::from("[redacted]")));
    let list = vec!["-H".to_owned(), "Authorization: Bearer [redacted]".to_owned(), "plain".to_owned()];
    assert_eq!(events[0].get_detail("argv"), Some(&AuditValue::from(list)));
    assert_eq!(events[0].get_detail("redacted"), Some(&AuditValue::from(3_i64)));
    assert_eq!(events[0].get_detail("count"), Some(&AuditValue::from(3_i64)));
    assert_eq!(events[1], event("git status", ThreatLevel::None).at(events[1].time));
}

#[test]
fn whole_values_are_no_texts_alone() {
    let sink = RedactingSink::new(Memory::default());
    let told = event("x", ThreatLevel::None)
        .detail("password", 123_456_i64)
        .detail("pin_secret", 1.5)
        .detail("auth", true)
        .detail("tokens", 3_i64);
    sink.record(&told).unwrap();
    let events = sink.sink().events.lock().unwrap();
    for name in ["password", "pin_secret", "auth"] {
        assert_eq!(events[0].get_detail(name), Some(&AuditValue::from("[redacted]")));
    }
    assert_eq!(events[0].get_detail("tokens"), Some(&AuditValue::from(3_i64)));
    assert_eq!(events[0].get_detail("redacted"), Some(&AuditValue::from(3_i64)));
}

/// What a list is after it was recorded.
fn list(items: &[&str]) -> Vec<String> {
    let sink = RedactingSink::new(Memory::default());
    let items: Vec<String> = items.iter().map(|item| (*item).to_owned()).collect();
    sink.record(&event("x", ThreatLevel::None).detail("argv", items)).unwrap();
    let events = sink.sink().events.lock().unwrap();
    match events[0].get_detail("argv") {
        Some(AuditValue::List(items)) => items.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn items_of_a_list_tell_about_the_next() {
    for (items, expected) in [
        (&["a", "--token", "my x", "b"][..], &["a", "--token", "[redacted]", "b"][..]),
        (&["-token", "-x1", "b"], &["-token", "[redacted]", "b"]),
        (&["--token", "--verbose", "b"], &["--token", "--verbose", "b"]),
        (&["curl", "-su", "ada:my x", "b"], &["curl", "-su", "ada:[redacted]", "b"]),
        (&["-H", "Authorization:", "Bearer x", "b"], &["-H", "Authorization:", "Bearer [redacted]", "b"]),
        (&["--max-tokens", "100"], &["--max-tokens", "100"]),
        (&["--token", "", "b"], &["--token", "", "b"]),
    ] {
        assert_eq!(list(items), expected);
    }
}

#[test]
fn long_texts_take_time_in_proportion() {
    for part in [
        "password=",
        "\"a\" ",
        "-----BEGIN ",
        "Authorization: ",
        "'",
        "a=b,",
        "{\"token\":",
        "eyJ",
        "-eyJ",
        "eyJ.",
        "://",
        "a://b:c,",
        "token=x&",
        "token=x@",
        "=",
        "\\",
        "token=\\",
        "sk-",
        "-u ",
        "-ua:",
        "--user=",
        "password = ",
        "password=a'b ",
        "token: [",
        "password: |\n",
        "token=\"\\",
        "\"token\" : ",
        "-token ",
        "x\\\"",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345@",
        "[redacted]",
        "Cookie: \"",
        "token:\n \n",
        "(",
        "token=)",
    ] {
        let text = part.repeat(50_000);
        let start = Instant::now();
        let _ = redact(&text);
        assert!(start.elapsed() < Duration::from_secs(20), "{part}");
    }
}

fn texts() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "password",
        "TOKEN",
        "Authorization",
        ":",
        "=",
        " ",
        "\"",
        "'",
        "x",
        "é",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----END",
        "\n",
        ";",
        "https://a:b@c",
        "--secret",
        "-u",
        "a:b",
        "$",
        "[redacted]",
        "Bearer",
        "{",
        "}",
        ",",
    ]);
    prop::collection::vec(parts, 0..16).prop_map(|parts| parts.concat())
}

proptest! {
    /// What was redacted once has nothing more to redact.
    #[test]
    fn once_is_enough(text in texts()) {
        let once = redact(&text).into_owned();
        prop_assert_eq!(redact(&once), once.as_str());
    }

    #[test]
    fn any_texts(text in any::<String>(), parts in texts(), items in prop::collection::vec(texts(), 0..4)) {
        exercise::redaction(&text, Vec::new());
        exercise::redaction(&parts, items);
    }

    /// A value of a secret name is gone, whatever it is made of.
    #[test]
    fn a_named_value_is_gone(value in "[A-Z0-9!@#%^*_+./-]{8,24}", quoted in any::<bool>()) {
        let text = if quoted { format!("DB_PASSWORD=\"{value} {value}\" run") } else { format!("DB_PASSWORD={value} run") };
        let redacted = redact(&text);
        prop_assert!(!redacted.contains(&value), "{}", redacted);
        prop_assert!(redacted.ends_with(" run"));
    }
}
