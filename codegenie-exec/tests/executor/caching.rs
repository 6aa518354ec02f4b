//! Results that are taken from a cache.

use super::*;

async fn run<C: CacheBackend>(
    world: &World,
    executor: &SecureExecutor<Arc<Fake>, Arc<Memory>, C>,
    request: CommandRequest,
) -> (bool, Vec<u8>) {
    let execution = executor.execute(&world.token, &request).await.unwrap();
    (execution.from_cache, execution.output.stdout)
}

#[tokio::test]
async fn a_pure_command_runs_once_until_something_changes() {
    let world = World::new();
    let executor = world.cached();
    let fresh = |n: &str| (false, n.as_bytes().to_vec());
    let cached = |n: &str| (true, n.as_bytes().to_vec());
    assert_eq!(run(&world, &executor, shell("gen x")).await, fresh("1"));
    assert_eq!(run(&world, &executor, shell("gen x")).await, cached("1"));
    assert_eq!(run(&world, &executor, shell("gen x")).await, cached("1"));
    assert_eq!(run(&world, &executor, shell("gen y")).await, fresh("2"));
    assert_eq!(run(&world, &executor, shell("touch file")).await, fresh("3"));
    assert_eq!(run(&world, &executor, shell("gen x")).await, fresh("4"));
    executor.workspace_changed();
    assert_eq!(run(&world, &executor, shell("gen x")).await, fresh("5"));
    assert_eq!(run(&world, &executor, shell("gen x")).await, cached("5"));
    let last = world.audit.events().pop().unwrap();
    assert_eq!(
        (last.result, last.get_detail("from_cache")),
        (AuditResult::Success, Some(&AuditValue::from(true)))
    );
    assert_eq!(executor.cache_stats().hits, 3);
}

#[tokio::test]
async fn failures_and_other_circumstances_are_not_shared() {
    let world = World::new();
    let executor = world.cached();
    let below = world.workspace.path().join("below");
    std::fs::create_dir(&below).unwrap();
    for _ in 0..2 {
        assert!(!run(&world, &executor, shell("fail")).await.0, "a failure is not kept");
    }
    for request in [
        // What is set may reach further than the command: it counts as a change as well.
        shell("gen x").env("LANG", "C"),
        shell("gen x"),
        shell("gen x").cwd(&below),
        shell("gen x").stdin("text"),
        shell("gen 'x '"),
        CommandRequest::argv(["gen", "x", ""]),
    ] {
        assert!(!run(&world, &executor, request).await.0);
    }
    assert!(run(&world, &executor, shell("gen x")).await.0);
    assert!(
        run(&world, &executor, CommandRequest::argv(["gen", "x"])).await.0,
        "the same command, said otherwise"
    );
    assert!(run(&world, &executor, shell("gen x").cwd(&below)).await.0);
}

/// While a command may be changing the workspace nothing comes from the cache, and what a cancelled
/// one did until then is seen by whoever asks next.
#[tokio::test]
async fn a_cancelled_command_changes_the_workspace_too() {
    let world = World::new();
    let executor = world.cached();
    let request = shell("block");
    let mut blocked = Box::pin(executor.execute(&world.token, &request));
    std::future::poll_fn(|cx| {
        assert!(blocked.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    assert!(!run(&world, &executor, shell("gen x")).await.0);
    assert!(!run(&world, &executor, shell("gen x")).await.0);
    drop(blocked);
    assert!(!run(&world, &executor, shell("gen x")).await.0);
    assert!(run(&world, &executor, shell("gen x")).await.0);
}

#[tokio::test]
async fn two_executors_share_nothing() {
    let (one, other) = (World::new(), World::new());
    let (first, second) = (one.cached(), other.cached());
    assert!(!run(&one, &first, shell("gen x")).await.0);
    assert!(!run(&other, &second, shell("gen x")).await.0);
    second.workspace_changed();
    assert!(run(&one, &first, shell("gen x")).await.0);
    assert_eq!((one.sandbox.starts(), other.sandbox.starts()), (1, 1));
    assert_eq!((one.audit.events().len(), other.audit.events().len()), (4, 2));
    let error = second.execute(&one.token, &shell("gen x")).await.unwrap_err();
    assert!(matches!(error, ExecError::Session { .. }), "a session of the other: {error}");
}

#[tokio::test]
async fn erased_it_does_the_same() {
    let world = World::new();
    let executor = world.cached().into_dyn();
    for expected in [false, true] {
        let execution = executor.execute(&world.token, &shell("gen x")).await.unwrap();
        assert_eq!(execution.from_cache, expected);
    }
    assert_eq!(executor.enforcement().await.unwrap().sandbox, "fake");
    assert_eq!(world.audit.events().len(), 4);
}
