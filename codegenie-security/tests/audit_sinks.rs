//! Sinks that stand before others: alerts and redaction.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use codegenie_security::{
    AlertingSink, AuditError, AuditEvent, AuditSink, AuditValue, EventClass, RedactingSink, Retention,
    ThreatLevel, redact,
};
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

#[derive(Default)]
struct Memory {
    events: Mutex<Vec<AuditEvent>>,
    fails: AtomicBool,
}

impl AuditSink for Memory {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(AuditError::unavailable("the disk is gone"));
        }
        self.events.lock().unwrap().push(event.clone());
        Ok(())
    }
    fn retention(&self) -> Retention {
        Retention::Volatile
    }
}

fn event(resource: &str, threat: ThreatLevel) -> AuditEvent {
    AuditEvent::new(EventClass::Command, "execute", resource).threat(threat)
}

mod alerts {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn grave_events_are_told_after_they_are_recorded() {
        let memory = Arc::new(Memory::default());
        let (told, alerts) = mpsc::channel();
        let seen = Arc::clone(&memory);
        let sink = AlertingSink::new(Arc::clone(&memory), ThreatLevel::High, 8, move |alert| {
            let on_record = seen.events.lock().unwrap().contains(&alert.event);
            told.send((alert, on_record)).unwrap();
        })
        .unwrap();
        for (name, threat) in [
            ("a", ThreatLevel::Medium),
            ("b", ThreatLevel::High),
            ("c", ThreatLevel::None),
            ("d", ThreatLevel::Critical),
        ] {
            sink.record(&event(name, threat)).unwrap();
        }
        for name in ["b", "d"] {
            let (alert, on_record) = alerts.recv_timeout(SOON).unwrap();
            assert_eq!((alert.event.resource.as_str(), alert.recorded, alert.missed), (name, true, 0));
            assert!(on_record);
        }
        drop(sink);
        assert!(alerts.recv().is_err(), "the thread has ended");
        assert_eq!(memory.events.lock().unwrap().len(), 4);
    }

    #[test]
    fn what_could_not_be_recorded_is_told_and_is_still_an_error() {
        let memory = Arc::new(Memory::default());
        memory.fails.store(true, Ordering::SeqCst);
        let (told, alerts) = mpsc::channel();
        let sink =
            AlertingSink::new(memory, ThreatLevel::High, 8, move |alert| told.send(alert).unwrap()).unwrap();
        sink.record(&event("a", ThreatLevel::Critical)).unwrap_err();
        assert!(!alerts.recv_timeout(SOON).unwrap().recorded);
    }

    /// A listener that hangs keeps nothing waiting, and what it misses is counted.
    #[test]
    fn nobody_waits_for_a_slow_listener() {
        let memory = Arc::new(Memory::default());
        let (told, alerts) = mpsc::channel();
        let (entered, gate) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let theirs = (Arc::clone(&entered), Arc::clone(&gate));
        let mut first = true;
        let sink = AlertingSink::new(Arc::clone(&memory), ThreatLevel::High, 2, move |alert| {
            if std::mem::take(&mut first) {
                theirs.0.wait();
                theirs.1.wait();
            }
            told.send(alert).unwrap();
        })
        .unwrap();
        sink.record(&event("0", ThreatLevel::High)).unwrap();
        entered.wait();
        for n in 1..=10 {
            sink.record(&event(&n.to_string(), ThreatLevel::High)).unwrap();
        }
        assert_eq!(memory.events.lock().unwrap().len(), 11, "all are on record while it hangs");
        assert_eq!(sink.missed(), 8);
        gate.wait();
        let heard: Vec<(String, u64)> = (0..3)
            .map(|_| alerts.recv_timeout(SOON).map(|alert| (alert.event.resource, alert.missed)).unwrap())
            .collect();
        assert_eq!(heard, [("0".to_owned(), 0), ("1".to_owned(), 8), ("2".to_owned(), 0)]);
        sink.record(&event("11", ThreatLevel::High)).unwrap();
        assert_eq!(alerts.recv_timeout(SOON).unwrap().event.resource, "11");
    }

    /// A flood of alerts keeps no graver one from being told, and still no more wait than may.
    #[test]
    fn a_graver_event_takes_the_place_of_a_slighter_one() {
        let (told, alerts) = mpsc::channel();
        let (entered, gate) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let theirs = (Arc::clone(&entered), Arc::clone(&gate));
        let mut first = true;
        let sink = AlertingSink::new(Memory::default(), ThreatLevel::Medium, 8, move |alert| {
            if std::mem::take(&mut first) {
                theirs.0.wait();
                theirs.1.wait();
            }
            told.send(alert).unwrap();
        })
        .unwrap();
        sink.record(&event("first", ThreatLevel::High)).unwrap();
        entered.wait();
        sink.record(&event("m", ThreatLevel::Medium)).unwrap();
        for n in 0..100 {
            sink.record(&event(&format!("h{n}"), ThreatLevel::High)).unwrap();
        }
        for n in 0..2 {
            sink.record(&event(&format!("c{n}"), ThreatLevel::Critical)).unwrap();
        }
        sink.record(&event("late", ThreatLevel::Medium)).unwrap();
        assert_eq!(sink.missed(), 1 + 100 + 2 + 1 - 8);
        gate.wait();
        let heard: Vec<String> = (0..9).map(|_| alerts.recv_timeout(SOON).unwrap().event.resource).collect();
        assert_eq!(heard, ["first", "h0", "h1", "h2", "h3", "h4", "h5", "c0", "c1"]);
        drop(sink);
        assert!(alerts.recv().is_err());
    }

    #[test]
    fn a_listener_that_panics_is_told_the_next() {
        let (told, alerts) = mpsc::channel();
        let sink = AlertingSink::new(Memory::default(), ThreatLevel::High, 8, move |alert| {
            assert!(alert.event.resource != "a", "as a listener may");
            told.send(alert.event.resource).unwrap();
        })
        .unwrap();
        sink.record(&event("a", ThreatLevel::High)).unwrap();
        sink.record(&event("b", ThreatLevel::High)).unwrap();
        assert_eq!(alerts.recv_timeout(SOON).unwrap(), "b");
    }

    #[test]
    fn a_listener_that_never_returns_does_not_keep_the_host_from_ending() {
        let sink = AlertingSink::new(Memory::default(), ThreatLevel::High, 1, |_| {
            loop {
                std::thread::park();
            }
        })
        .unwrap();
        sink.record(&event("a", ThreatLevel::High)).unwrap();
        drop(sink);
    }
}

mod redaction {
    use super::*;

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
            ("Cookie: a=b; c=d", "Cookie: [redacted]; c=d"),
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
        let key =
            "cat <<E\n-----BEGIN OPENSSH PRIVATE KEY-----\nabc\ndef\n-----END OPENSSH PRIVATE KEY-----\nE";
        assert_eq!(
            redact(key),
            "cat <<E\n-----BEGIN OPENSSH PRIVATE KEY-----[redacted]-----END OPENSSH PRIVATE KEY-----\nE"
        );
        assert_eq!(
            redact("KEY=-----BEGIN RSA PRIVATE KEY-----\nabc"),
            "KEY=-----BEGIN RSA PRIVATE KEY-----[redacted]"
        );
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
    fn long_texts_take_time_in_proportion() {
        for part in
            ["password=", "\"a\" ", "-----BEGIN ", "Authorization: ", "'", "a=b,", "{\"token\":", "eyJ"]
        {
            let text = part.repeat(200_000);
            let _ = redact(&text);
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

        /// A value of a secret name is gone, whatever it is made of.
        #[test]
        fn a_named_value_is_gone(value in "[A-Z0-9!@#%^*_+./-]{8,24}", quoted in any::<bool>()) {
            let text = if quoted { format!("DB_PASSWORD=\"{value} {value}\" run") } else { format!("DB_PASSWORD={value} run") };
            let redacted = redact(&text);
            prop_assert!(!redacted.contains(&value), "{}", redacted);
            prop_assert!(redacted.ends_with(" run"));
        }
    }
}
