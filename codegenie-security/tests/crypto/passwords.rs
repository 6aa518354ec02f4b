//! Passwords: RFC 7914, strings from outside, and the bound on work.

use codegenie_security::{PasswordError, PasswordHasher, PasswordMatch};

fn quick() -> PasswordHasher {
    PasswordHasher::new().log_n(10)
}

/// The third vector of RFC 7914, section 12, as a PHC string: the salts of the others are too short for one.
#[test]
fn a_vector_of_rfc_7914_verifies() {
    let stored = "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$\
        cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw";
    assert!(quick().verify(&"pleaseletmein".into(), stored).unwrap().is_match());
    assert_eq!(quick().verify(&"pleaseletmeout".into(), stored).unwrap(), PasswordMatch::No);
}

#[test]
fn what_was_hashed_verifies_and_two_hashes_differ() {
    let stored = quick().hash(&"correct horse".into()).unwrap();
    assert_ne!(stored, quick().hash(&"correct horse".into()).unwrap());
    assert_eq!(quick().verify(&"correct horse".into(), &stored).unwrap(), PasswordMatch::Yes);
    for wrong in ["", "correct hors", "correct horse ", "Correct horse"] {
        assert_eq!(quick().verify(&wrong.into(), &stored).unwrap(), PasswordMatch::No);
    }
    assert_eq!(quick().verify_nobody(&"correct horse".into()).unwrap(), PasswordMatch::No);
}

#[test]
fn a_hash_with_fewer_rounds_is_to_be_made_again() {
    let stored = quick().hash(&"x".into()).unwrap();
    let now = PasswordHasher::new().log_n(11);
    let verified = now.verify(&"x".into(), &stored).unwrap();
    assert!(verified.is_match() && verified.needs_rehash());
    assert!(!quick().verify(&"x".into(), &stored).unwrap().needs_rehash());
}

#[test]
fn strings_that_ask_for_too_much_are_refused_before_any_work() {
    let salt_and_hash = "$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI";
    for params in [
        "ln=19,r=8,p=1",
        "ln=63,r=8,p=1",
        "ln=64,r=8,p=1",
        "ln=4294967295,r=8,p=1",
        "ln=10,r=33,p=1",
        "ln=10,r=8,p=17",
        "ln=1,r=4294967295,p=4294967295",
        "ln=1,r=65536,p=65536",
    ] {
        let error = quick().verify(&"x".into(), &format!("$scrypt${params}{salt_and_hash}")).unwrap_err();
        assert!(matches!(error, PasswordError::TooCostly { .. }), "{params}: {error}");
    }
    for malformed in [
        String::new(),
        "$".to_owned(),
        "plain".to_owned(),
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b27Zg".to_owned(),
        format!("$scrypt$ln=10,r=8{salt_and_hash}"),
        format!("$scrypt$ln=10,r=8,p=1,x=1{salt_and_hash}"),
        format!("$scrypt$ln=0,r=8,p=1{salt_and_hash}"),
        format!("$scrypt$ln=10,r=0,p=1{salt_and_hash}"),
        format!("$scrypt$ln=10,r=8,p=0{salt_and_hash}"),
        format!("$scrypt$ln=-1,r=8,p=1{salt_and_hash}"),
        format!("$scrypt$ln=10,r=8,p=1{salt_and_hash}$more"),
        "$scrypt$ln=10,r=8,p=1$U29kaXVtQ2hsb3JpZGU".to_owned(),
        "$scrypt$ln=10,r=8,p=1$U29kaXVtQ2hsb3JpZGU$".to_owned(),
        "$scrypt$ln=10,r=8,p=1$!$!".to_owned(),
        format!("$scrypt$ln=10,r=8,p=1{salt_and_hash}{}", "A".repeat(1000)),
    ] {
        let verified = quick().verify(&"x".into(), &malformed);
        assert!(verified.is_err() || verified == Ok(PasswordMatch::No), "{malformed}: {verified:?}");
    }
    let long = "x".repeat(5000);
    assert!(matches!(quick().hash(&long.as_str().into()), Err(PasswordError::TooLong { len: 5000, .. })));
}

#[test]
fn no_more_than_allowed_are_computed_at_once_and_the_rest_is_refused() {
    // As many as the gate lets in and lets wait; more must be refused, whatever the timing: the
    // eighth of eight that start together finds two inside and two waiting, or others done.
    let hasher = PasswordHasher::new().log_n(14).at_once(1, 0);
    let start = std::sync::Barrier::new(8);
    let run = || {
        start.wait();
        hasher.hash(&"x".into())
    };
    let results: Vec<_> = std::thread::scope(|threads| {
        let handles: Vec<_> = (0..8).map(|_| threads.spawn(run)).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let busy = results.iter().filter(|result| **result == Err(PasswordError::Busy)).count();
    assert!(results.iter().all(|result| result.is_ok() || *result == Err(PasswordError::Busy)));
    assert!(busy > 0 && busy < 8, "{busy} of 8 were refused");

    let patient = PasswordHasher::new().log_n(10).at_once(1, 8);
    std::thread::scope(|threads| {
        let handles: Vec<_> = (0..8).map(|_| threads.spawn(|| patient.hash(&"x".into()))).collect();
        assert!(handles.into_iter().all(|handle| handle.join().unwrap().is_ok()));
    });
}

#[cfg(feature = "tokio")]
#[test]
fn async_hashing_waits_in_line_and_does_not_block_the_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let hasher = quick().at_once(1, 2);
    runtime.block_on(async {
        let one = hasher.hash_async("x".into());
        let two = hasher.hash_async("x".into());
        let (one, two) = tokio::join!(one, two);
        let stored = one.unwrap();
        assert_ne!(stored, two.unwrap());
        assert!(hasher.verify_async("x".into(), stored).await.unwrap().is_match());
        // So many rounds that the first is not done before the last has come.
        let hasher = PasswordHasher::new().log_n(15).at_once(1, 2);
        let five = (0..5).map(|_| {
            tokio::spawn({
                let hasher = hasher.clone();
                async move { hasher.hash_async("x".into()).await }
            })
        });
        let mut busy = 0;
        for task in five.collect::<Vec<_>>() {
            busy += usize::from(task.await.unwrap() == Err(PasswordError::Busy));
        }
        // One computes, two wait; the tasks all start before the first has ended, on one thread.
        assert_eq!(busy, 2);
        assert!(hasher.hash_async("x".into()).await.is_ok(), "the places are free again");
    });
}

#[test]
fn the_limits_bound_memory_and_work_together() {
    let stored = |log_n: u32, r: u32, p: u32| {
        format!(
            "$scrypt$ln={log_n},r={r},p={p}$c2FsdHNhbHRzYWx0c2FsdA$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI"
        )
    };
    let hasher = quick().max_log_n(12);
    for (log_n, r, p) in [(12, 8, 1), (12, 8, 2), (10, 32, 1), (10, 8, 8), (11, 16, 2), (10, 1, 16)] {
        assert_eq!(hasher.verify(&"x".into(), &stored(log_n, r, p)).unwrap(), PasswordMatch::No);
    }
    for (log_n, r, p) in
        [(12, 9, 1), (12, 8, 3), (12, 32, 16), (11, 32, 1), (10, 32, 3), (11, 8, 5), (13, 1, 1)]
    {
        let error = hasher.verify(&"x".into(), &stored(log_n, r, p)).unwrap_err();
        assert!(matches!(error, PasswordError::TooCostly { .. }), "{log_n} {r} {p}: {error}");
    }
}

#[test]
fn nobody_is_like_who_the_host_says() {
    let stored = quick().hash(&"x".into()).unwrap();
    let like = PasswordHasher::new().log_n(16).nobody_like(&stored).unwrap();
    assert_eq!(like.verify_nobody(&"x".into()).unwrap(), PasswordMatch::No);
    assert_eq!(quick().nobody_like("plain").unwrap_err(), PasswordError::Malformed);
    let costly = PasswordHasher::new().log_n(12).hash(&"x".into()).unwrap();
    assert!(matches!(quick().max_log_n(10).nobody_like(&costly), Err(PasswordError::TooCostly { .. })));
    assert!(matches!(quick().verify_nobody(&"x".repeat(5000).into()), Err(PasswordError::TooLong { .. })));
}
