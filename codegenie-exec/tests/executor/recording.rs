//! What is on record, and what happens where nothing can be.

use super::*;

#[tokio::test]
async fn an_intent_that_is_not_recorded_stops_the_command() {
    let world = World::with_sink(Memory::new(|event| event.result == AuditResult::Pending));
    let error = world.executor().execute(&world.token, &shell("ls")).await.unwrap_err();
    assert!(matches!(error, ExecError::NotRecorded { .. }), "{error}");
    assert!(error.to_string().contains("the disk is full"));
    assert_eq!(world.sandbox.starts(), 0);
}

#[tokio::test]
async fn a_refusal_that_is_not_recorded_is_told() {
    let world = World::with_sink(Memory::new(|_| true));
    for text in ["ls |", "sudo ls", "make"] {
        let error = world.executor().execute(&world.token, &shell(text)).await.unwrap_err();
        assert!(matches!(error, ExecError::NotRecorded { .. }), "{text}: {error}");
    }
    assert_eq!(world.sandbox.starts(), 0);
}

#[tokio::test]
async fn an_outcome_that_is_not_recorded_comes_with_the_output() {
    let world = World::with_sink(Memory::new(|event| event.result == AuditResult::Success));
    match world.executor().execute(&world.token, &shell("ls")).await.unwrap_err() {
        ExecError::OutcomeNotRecorded { execution, .. } => assert_eq!(execution.output.stdout, b"1"),
        error => panic!("{error}"),
    }
    assert_eq!(world.audit.events().len(), 1, "the intent stands");
}

#[tokio::test]
async fn a_dropped_future_ends_the_command_and_is_recorded() {
    let world = World::new();
    let policy = CommandPolicy::default().rule(CommandRule::new(["block"], Decision::Allow));
    let executor = SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), world.confinement())
        .audit(world.audit.clone())
        .command_policy(policy)
        .build()
        .unwrap();
    let request = shell("block");
    let mut running = Box::pin(executor.execute(&world.token, &request));
    std::future::poll_fn(|cx| {
        assert!(running.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    assert_eq!((world.sandbox.starts(), world.sandbox.dropped.load(Ordering::SeqCst)), (1, 0));
    drop(running);
    assert_eq!(world.sandbox.dropped.load(Ordering::SeqCst), 1);
    world.assert_recorded(EventClass::Command, AuditResult::Failure, ThreatLevel::None);
    let events = world.audit.events();
    assert_eq!(events.last().unwrap().get_detail("end"), Some(&AuditValue::from("cancelled")));
}

#[test]
fn a_sink_that_keeps_nothing_is_refused() {
    let world = World::new();
    let builder = || SecureExecutor::builder(Fake::default(), world.access.clone(), world.confinement());
    let forgetful = Memory { events: Mutex::default(), fails_on: |_| false, retention: Retention::None };
    assert!(matches!(builder().audit(forgetful).build(), Err(BuildError::NothingRecorded)));
    assert!(matches!(builder().audit(DangerousNoAudit).build(), Err(BuildError::NothingRecorded)));
    assert!(matches!(builder().audit(None::<Arc<Memory>>).build(), Err(BuildError::NothingRecorded)));
    assert!(builder().dangerous_without_audit().build().is_ok());
}

#[tokio::test]
async fn without_a_record_where_the_host_insists() {
    let world = World::new();
    let executor = SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), world.confinement())
        .dangerous_without_audit()
        .build()
        .unwrap();
    executor.execute(&world.token, &shell("ls")).await.unwrap();
    assert_eq!(world.sandbox.starts(), 1);
}
