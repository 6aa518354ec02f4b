//! The keyring of the operating system.

use codegenie_security::{KeyringError, KeyringKey, Keyset};

const SERVICE: &str = "codegenie-security tests";

#[test]
#[ignore = "needs a Secret Service on the session bus: .ci/run starts gnome-keyring-daemon under dbus-run-session"]
fn a_key_is_kept_by_the_keyring_and_wraps() {
    let name = format!("test {}", std::process::id());
    let key = KeyringKey::load_or_create(SERVICE, &name).unwrap();
    let again = KeyringKey::load_or_create(SERVICE, &name).unwrap();
    assert_eq!(key.key(), again.key());
    let keys = Keyset::generate(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let stored = keys.to_stored(&[&key]).unwrap();
    assert_eq!(Keyset::from_stored(&stored, &[&again]).unwrap().primary_id(), keys.primary_id());
    KeyringKey::delete(SERVICE, &name).unwrap();
    KeyringKey::delete(SERVICE, &name).unwrap();
    let new = KeyringKey::load_or_create(SERVICE, &name).unwrap();
    assert_ne!(new.key(), key.key());
    KeyringKey::delete(SERVICE, &name).unwrap();
}

/// In a process of its own, since a bus is found by the environment.
#[test]
fn without_a_keyring_the_error_says_so() {
    if std::env::var_os("CODEGENIE_NO_BUS").is_none() {
        let this = std::env::current_exe().unwrap();
        let status = std::process::Command::new(this)
            .args(["--exact", "keyring::without_a_keyring_the_error_says_so", "--nocapture"])
            .env("CODEGENIE_NO_BUS", "1")
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .env_remove("XDG_RUNTIME_DIR")
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let error = KeyringKey::load_or_create(SERVICE, "none").unwrap_err();
    assert!(matches!(error, KeyringError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("key file"), "{error}");
}
