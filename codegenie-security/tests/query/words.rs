use codegenie_security::{AuditQuery, AuditResult, BadQueryKind, EventClass, ThreatLevel};
use proptest::prelude::*;

use crate::{at, events};

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[test]
fn every_field_has_a_word() {
    let text = r#" actor:alice actor:"bob \"b\" \\" agent:coder session:s-1 action:execute resource:"a b:c"
        class:command class:file_activity result:denied threat:high since:1970-01-02
        until:1970-01-03T00:00:01Z sequence:3..9 order:oldest limit:7 after:5 rm "-rf: /" "#;
    let expected = AuditQuery::new()
        .actor("alice")
        .actor("bob \"b\" \\")
        .agent("coder")
        .session("s-1")
        .action("execute")
        .resource("a b:c")
        .class(EventClass::Command)
        .class(EventClass::FileActivity)
        .result(AuditResult::Denied)
        .threat_at_least(ThreatLevel::High)
        .since(at(86_400))
        .until(at(172_801))
        .sequences(3..9)
        .oldest_first()
        .limit(7)
        .after(5)
        .text("RM")
        .text("-rf: /");
    assert_eq!(text.parse(), Ok(expected));
    assert_eq!("".parse(), Ok(AuditQuery::new()));
    assert_eq!("sequence:..9 order:newest".parse(), Ok(AuditQuery::new().sequences(..9)));
    assert_eq!("sequence:3..".parse(), Ok(AuditQuery::new().sequences(3..)));
    assert_eq!("sequence:3".parse(), Ok(AuditQuery::new().sequences(3..=3)));
    assert_eq!("actor: x".parse(), Ok(AuditQuery::new().actor("").text("x")));
    for class in EventClass::ALL {
        assert_eq!(format!("class:{class}").parse(), Ok(AuditQuery::new().class(class)));
    }
    for (result, threat) in events::RESULTS.into_iter().zip(events::THREATS) {
        let expected = AuditQuery::new().result(result).threat_at_least(threat);
        assert_eq!(format!("result:{result} threat:{threat}").parse(), Ok(expected));
    }
}

#[test]
fn what_is_no_query_is_refused_with_its_place() {
    for (text, offset, kind) in [
        ("é http://x", 3, BadQueryKind::Field),
        (":x", 0, BadQueryKind::Field),
        ("class:Command", 0, BadQueryKind::Value),
        ("threat:", 0, BadQueryKind::Value),
        ("a since:2026-02-30", 2, BadQueryKind::Value),
        ("sequence:", 0, BadQueryKind::Value),
        ("sequence:+1", 0, BadQueryKind::Value),
        ("limit:0", 0, BadQueryKind::Value),
        ("after:18446744073709551616", 0, BadQueryKind::Value),
        ("order:random", 0, BadQueryKind::Value),
        ("actor:\"x", 0, BadQueryKind::Quote),
        ("a \"x\"y", 2, BadQueryKind::Quote),
        ("\"\\n\"", 0, BadQueryKind::Quote),
    ] {
        let error = text.parse::<AuditQuery>().unwrap_err();
        assert_eq!((error.offset(), error.kind()), (offset, kind), "{text}");
        assert!(!error.to_string().contains('\n'));
    }
}

proptest! {
    #[test]
    fn any_text_can_be_quoted(actor in events::text(), text in events::text()) {
        let query = format!("actor:{} {}", quoted(&actor), quoted(&text)).parse();
        assert_eq!(query, Ok(AuditQuery::new().actor(actor).text(text)));
    }

    #[test]
    fn no_text_panics(text in "([a-z]{0,8}:)?[ -~é\"]{0,12}") {
        if let Err(error) = text.parse::<AuditQuery>() {
            assert!(text.is_char_boundary(error.offset()));
        }
    }
}
