//! Sessions that were derived for sub-agents, on the executor's path.

use super::*;
use codegenie_security::Attenuation;

#[tokio::test]
async fn a_sub_agent_runs_what_it_was_narrowed_to_and_its_line_is_on_record() {
    let world = World::new();
    let executor = world.executor();
    let root = world.access.validate(&world.token).unwrap();
    let narrow = Attenuation::new().agent("helper").only(["execute:command:ls"]).unwrap();
    let (token, child) = world.access.attenuate(&root, narrow).unwrap();
    // The one that it was derived from may do both.
    executor.execute(&world.token, &shell("cat a")).await.unwrap();
    executor.execute(&token, &shell("ls")).await.unwrap();
    let error = executor.execute(&token, &shell("cat a")).await.unwrap_err();
    assert!(matches!(error, ExecError::NotPermitted { .. }), "{error}");

    let events = world.audit.events();
    let of_child: Vec<_> =
        events.iter().filter(|event| event.session == Some(child.id().to_string())).collect();
    assert_eq!(of_child.len(), 3, "intent, outcome, refusal");
    for event in of_child {
        let lineage = vec![root.id().to_string(), child.id().to_string()];
        assert_eq!(event.get_detail("lineage"), Some(&AuditValue::List(lineage)));
        assert_eq!(event.agent.as_deref(), Some("helper"));
    }
    world.access.revoke(root.id());
    assert!(executor.execute(&token, &shell("ls")).await.is_err(), "it ended with its parent");
}
