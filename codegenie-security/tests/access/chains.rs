//! Chains: what another process may believe.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::start;
use codegenie_security::{
    BadChain, ChainBlock, ChainError, ChainMemory, ChainToken, ChainVerifier, PersistenceError, Policy,
    RevocationId, Role, SeenOnce, Separation, SigningKey,
};
use proptest::prelude::*;

fn issuer() -> SigningKey {
    SigningKey::from_seed([7; 32])
}

fn verifier() -> ChainVerifier {
    ChainVerifier::new(issuer().verifying_key(), "farm")
}

fn end() -> SystemTime {
    start() + Duration::from_secs(600)
}

fn first() -> ChainBlock {
    ChainBlock::new().user("alice").audience("farm").roles(["reader", "writer"]).expires_at(end())
}

fn chain() -> ChainToken {
    ChainToken::issue(&issuer(), first()).unwrap()
}

fn policy() -> Policy {
    Policy::builder()
        .role(Role::new("reader").allow("read:/src/**"))
        .role(Role::new("writer").allow("write:/src/**"))
        .role(Role::new("admin").allow("*:**"))
        .user("alice", ["reader", "writer", "admin"])
        .build()
        .unwrap()
}

#[test]
fn a_chain_says_what_its_blocks_say_and_each_narrows() {
    let narrow = ChainBlock::new().agent("a").roles(["reader"]).label("untrusted").max_level(1);
    let narrower = ChainBlock::new()
        .agent("b")
        .only(["read:/src/docs/**"])
        .expires_at(start() + Duration::from_secs(60));
    let token = chain().attenuate(narrow).unwrap().attenuate(narrower).unwrap();
    let verified = verifier().verify(token.expose(), start()).unwrap();
    assert_eq!((verified.user(), verified.roles()), ("alice", &["reader".to_owned()][..]));
    assert_eq!(verified.agents(), ["a", "b"]);
    assert_eq!((verified.labels(), verified.max_level()), (vec!["untrusted".to_owned()], 1));
    assert_eq!(verified.expires_at(), start() + Duration::from_secs(60));
    assert_eq!(verified.revocation_ids(), token.revocation_ids().unwrap());
    let may = |action, resource, at| verified.permit(&policy(), action, resource, at).is_allowed();
    assert!(may("read", "/src/docs/a", start()));
    assert!(
        !may("read", "/src/a", start())
            && !may("write", "/src/docs/a", start())
            && !may("read", "/etc", start())
    );
    assert!(!may("read", "/src/docs/a", start() + Duration::from_secs(60)), "its time is over");
    // The policy has the last word.
    let none = Policy::builder().role(Role::new("reader")).user("alice", ["reader"]).build().unwrap();
    assert!(!verified.permit(&none, "read", "/src/docs/a", start()).is_allowed());
}

#[test]
fn time_audience_issuer_and_revocation_are_looked_at() {
    let token = chain().attenuate(ChainBlock::new().agent("a")).unwrap();
    let text = token.expose();
    assert_eq!(verifier().verify(text, end()).unwrap_err(), ChainError::Expired);
    let other = ChainVerifier::new(issuer().verifying_key(), "elsewhere");
    assert_eq!(other.verify(text, start()).unwrap_err(), ChainError::OtherAudience);
    let stranger = ChainVerifier::new(SigningKey::from_seed([8; 32]).verifying_key(), "farm");
    assert_eq!(stranger.verify(text, start()).unwrap_err(), ChainError::Refused);
    // Whichever block was revoked, what goes through it is.
    for revoked in token.revocation_ids().unwrap() {
        let verifier = verifier().revoked_by(move |id| *id == revoked);
        let error = verifier.verify(text, start()).unwrap_err();
        assert!(matches!(error, ChainError::Revoked { id, .. } if id == revoked), "{error}");
    }
    let second = token.revocation_ids().unwrap()[1];
    verifier().revoked_by(move |id| *id == second).verify(chain().expose(), start()).unwrap();
}

#[test]
fn blocks_that_ask_for_more_are_refused() {
    let narrow = chain().attenuate(
        ChainBlock::new().roles(["reader"]).max_level(1).expires_at(start() + Duration::from_secs(9)),
    );
    let narrow = narrow.unwrap();
    for (block, what) in [
        (ChainBlock::new().roles(["reader", "writer"]), "roles"),
        (ChainBlock::new().roles(["admin"]), "roles"),
        (ChainBlock::new().expires_at(end()), "end"),
        (ChainBlock::new().max_level(2), "level"),
    ] {
        let wider = narrow.attenuate(block).unwrap();
        let error = verifier().verify(wider.expose(), start()).unwrap_err();
        assert!(
            matches!(error, ChainError::Widened { block: 2, what: found, .. } if found == what),
            "{error}"
        );
    }
    // A wider list gains nothing, since all of them count.
    let listed = narrow.attenuate(ChainBlock::new().only(["read:/src/a"])).unwrap();
    let wider = listed.attenuate(ChainBlock::new().only(["*:**"])).unwrap();
    let verified = verifier().verify(wider.expose(), start()).unwrap();
    assert!(!verified.permit(&policy(), "read", "/src/b", start()).is_allowed());

    let bad = |result: Result<ChainToken, BadChain>| result.unwrap_err().to_string();
    assert!(bad(chain().attenuate(ChainBlock::new().user("bob"))).contains("only the first block"));
    assert!(bad(chain().attenuate(ChainBlock::new().audience("all"))).contains("only the first block"));
    assert!(bad(ChainToken::issue(&issuer(), ChainBlock::new().user("bob"))).contains("needs"));
    assert!(bad(chain().attenuate(ChainBlock::new().only(["nothing"]))).contains("no colon"));
    assert!(bad(chain().attenuate(ChainBlock::new().agent("x".repeat(5000)))).contains("4,096"));
    let mut longest = chain();
    let error = loop {
        match longest.attenuate(ChainBlock::new()) {
            Ok(next) => longest = next,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("16 blocks"));
    verifier().verify(longest.expose(), start()).unwrap();
}

#[test]
fn a_sealed_chain_is_whole_and_takes_no_block() {
    let open = chain();
    let sealed = open.seal().unwrap();
    verifier().verify(sealed.expose(), start()).unwrap();
    assert!(sealed.attenuate(ChainBlock::new()).unwrap_err().to_string().contains("sealed"));
    assert_eq!(sealed.seal().unwrap().expose(), sealed.expose());
    assert_eq!(sealed.revocation_ids().unwrap(), open.revocation_ids().unwrap());
}

#[test]
fn a_chain_for_one_use_counts_once_and_only_where_it_is_remembered() {
    let once = chain().attenuate(ChainBlock::new().single_use()).unwrap();
    assert_eq!(verifier().verify(once.expose(), start()).unwrap_err(), ChainError::Replayed);
    let seen = Arc::new(SeenOnce::new());
    let remembering = verifier().remember(Arc::clone(&seen));
    remembering.verify(once.expose(), start()).unwrap();
    assert_eq!(remembering.verify(once.expose(), start()).unwrap_err(), ChainError::Replayed);
    // A block more does not make it new.
    let again = once.attenuate(ChainBlock::new().agent("x")).unwrap();
    assert_eq!(remembering.verify(again.expose(), start()).unwrap_err(), ChainError::Replayed);
    // Nor do many at once.
    let other = ChainToken::issue(&issuer(), first().single_use()).unwrap();
    let passed = Mutex::new(0);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                *passed.lock().unwrap() += usize::from(remembering.verify(other.expose(), start()).is_ok())
            });
        }
    });
    assert_eq!(*passed.lock().unwrap(), 1);
}

/// A database of the host's, say.
#[derive(Debug, Default)]
struct Database {
    used: Mutex<Vec<(RevocationId, SystemTime)>>,
    fails: bool,
}

impl ChainMemory for Database {
    fn is_first_use(
        &self,
        id: RevocationId,
        until: SystemTime,
        _now: SystemTime,
    ) -> Result<bool, PersistenceError> {
        if self.fails {
            return Err(PersistenceError::new("the database is away"));
        }
        let mut used = self.used.lock().unwrap();
        let is_first = used.iter().all(|(known, _)| *known != id);
        used.push((id, until));
        Ok(is_first)
    }
}

#[test]
fn a_host_can_keep_what_was_used_and_is_told_to_what_end() {
    let database = Arc::new(Database::default());
    let remembering = verifier().remember(Arc::clone(&database));
    let once = chain().attenuate(ChainBlock::new().single_use()).unwrap();
    let ending = ChainBlock::new().expires_at(start() + Duration::from_secs(1));
    remembering.verify(once.attenuate(ending).unwrap().expose(), start()).unwrap();
    assert_eq!(remembering.verify(once.expose(), start()).unwrap_err(), ChainError::Replayed);
    let id = once.revocation_ids().unwrap()[1];
    assert_eq!(
        *database.used.lock().unwrap(),
        [(id, end()), (id, end())],
        "the end of the block that says so"
    );
    // What cannot be kept does not count.
    let away: Arc<dyn ChainMemory> = Arc::new(Database { fails: true, ..Database::default() });
    let error = verifier().remember(away).verify(once.expose(), start()).unwrap_err();
    assert!(matches!(error, ChainError::NotKept { .. }) && error.to_string().contains("is away"), "{error}");
}

/// Whoever has a chain can make it end earlier. That does not shorten how long its use is remembered.
#[test]
fn a_chain_for_one_use_is_remembered_to_the_end_that_it_was_given() {
    let once = ChainToken::issue(&issuer(), first().single_use()).unwrap();
    let ending = |seconds| {
        let end = start() + Duration::from_secs(seconds);
        once.attenuate(ChainBlock::new().expires_at(end)).unwrap()
    };
    // The first use is one of a short end, and so are those that are tried after it.
    let remembering = verifier().remember(Arc::new(SeenOnce::new()));
    let taken = |verifier: &ChainVerifier, token: &ChainToken, seconds| {
        verifier.verify(token.expose(), start() + Duration::from_secs(seconds)).is_ok()
    };
    assert!(taken(&remembering, &ending(1), 0));
    for seconds in (2..200).step_by(2) {
        assert!(!taken(&remembering, &ending(seconds + 1), seconds), "after {seconds} s");
    }
    assert!(!taken(&remembering, &once, 300));
    // The first use is that of the whole, and a short one is refused after it.
    let remembering = verifier().remember(Arc::new(SeenOnce::new()));
    assert!(taken(&remembering, &once, 0));
    assert!(!taken(&remembering, &ending(2), 1));
    assert!(!taken(&remembering, &once, 3));
}

#[test]
fn chains_for_one_use_of_one_root_are_used_once_each() {
    let root = chain();
    let remembering = verifier().remember(Arc::new(SeenOnce::new()));
    for _ in 0..3 {
        let token = root.attenuate(ChainBlock::new().single_use()).unwrap();
        remembering.verify(token.expose(), start()).unwrap();
        assert_eq!(remembering.verify(token.expose(), start()).unwrap_err(), ChainError::Replayed);
        // Said twice, it is the same use.
        let twice = token.attenuate(ChainBlock::new().single_use()).unwrap();
        assert_eq!(remembering.verify(twice.expose(), start()).unwrap_err(), ChainError::Replayed);
    }
}

#[test]
fn a_chain_does_not_act_in_roles_that_are_kept_apart() {
    let separated = |given: &[&str]| {
        Policy::builder()
            .role(Role::new("reader").allow("read:/src/**"))
            .role(Role::new("writer").allow("write:/src/**"))
            .user("alice", given.iter().copied())
            .separate(Separation::of(["reader", "writer"]).in_one_session())
            .build()
            .unwrap()
    };
    let both = verifier().verify(chain().expose(), start()).unwrap();
    let policy = separated(&["reader", "writer"]);
    for action in ["read", "write"] {
        assert!(!both.permit(&policy, action, "/src/a", start()).is_allowed(), "{action}");
    }
    let one = chain().attenuate(ChainBlock::new().roles(["writer"])).unwrap();
    let one = verifier().verify(one.expose(), start()).unwrap();
    assert!(one.permit(&policy, "write", "/src/a", start()).is_allowed());
    // A role that the user does not have counts for nothing, so it is in nobody's way.
    assert!(both.permit(&separated(&["reader"]), "read", "/src/a", start()).is_allowed());
}

#[test]
fn a_chain_that_would_be_too_long_to_be_read_is_not_made() {
    let roles = |count: usize| (0..count).map(|n| format!("{n:04000}"));
    let error = ChainToken::issue(&issuer(), first().roles(roles(40))).unwrap_err();
    assert!(error.to_string().contains("64 KiB"), "{error}");
    let mut token = chain();
    let error = loop {
        match token.attenuate(ChainBlock::new().label("x".repeat(4096)).label("y".repeat(1000))) {
            Ok(longer) => token = longer,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("64 KiB"), "{error}");
    // What was made can be read, sealed, and read then.
    verifier().verify(token.expose(), start()).unwrap();
    verifier().verify(token.seal().unwrap().expose(), start()).unwrap();
}

fn decoded(token: &ChainToken) -> Vec<u8> {
    use base64ct::{Base64UrlUnpadded, Encoding};
    Base64UrlUnpadded::decode_vec(token.expose().strip_prefix("cgc_").unwrap()).unwrap()
}

fn encoded(bytes: &[u8]) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding};
    format!("cgc_{}", Base64UrlUnpadded::encode_string(bytes))
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    for token in [chain().attenuate(ChainBlock::new().agent("a")).unwrap(), chain().seal().unwrap()] {
        let bytes = decoded(&token);
        verifier().verify(&encoded(&bytes), start()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                verifier().verify(&encoded(&altered), start()).unwrap_err(),
                ChainError::Refused,
                "bit {bit}"
            );
        }
        for len in 0..bytes.len() {
            assert_eq!(verifier().verify(&encoded(&bytes[..len]), start()).unwrap_err(), ChainError::Refused);
        }
    }
    for text in ["", "cgc_", "cgs_AAAA", "cgc_!!!!", &format!("cgc_{}", "A".repeat(100_000))] {
        assert_eq!(verifier().verify(text, start()).unwrap_err(), ChainError::Refused);
        assert!(ChainToken::from_text(text.to_owned()).is_err());
    }
}

/// The last block taken away, with the proof of the longer chain: shown to be whole before.
#[test]
fn a_block_cannot_be_taken_away() {
    let narrow = chain().attenuate(ChainBlock::new().roles(["reader"])).unwrap();
    let bytes = decoded(&narrow);
    let len = u32::from_be_bytes(bytes[6..10].try_into().unwrap()) as usize;
    let first_end = 10 + len + 64;
    let proof = &bytes[bytes.len() - 33..];
    let mut shorter = [&bytes[..first_end], proof].concat();
    shorter[5] = 1;
    assert_eq!(verifier().verify(&encoded(&shorter), start()).unwrap_err(), ChainError::Refused);
}

/// Chains of version 1, of known keys but for those that are drawn: see the format.
#[test]
fn the_committed_vector_verifies() {
    let text = include_str!("../vectors/chain-v1.txt").trim();
    let verified = verifier().verify(text, start()).unwrap();
    assert_eq!((verified.user(), verified.agents()), ("alice", &["helper".to_owned()][..]));
    assert_eq!(verified.roles(), ["reader"]);
    assert!(verified.permit(&policy(), "read", "/src/a", start()).is_allowed());
    assert_eq!(ChainToken::from_text(text.to_owned()).unwrap().revocation_ids().unwrap().len(), 2);
    assert!(!format!("{:?}", ChainToken::from_text(text.to_owned())).contains("cgc_"));
}

fn block() -> impl Strategy<Value = ChainBlock> {
    let permission = prop_oneof![Just("read:/src/**"), Just("*:/src/a/**"), Just("write:**"), Just("*:**")];
    (
        prop::option::of(0..4_u8),
        prop::option::of(prop::collection::vec(permission, 0..3)),
        prop::option::of(0..700_u64),
    )
        .prop_map(|(roles, only, end)| {
            let mut block = ChainBlock::new();
            if let Some(bits) = roles {
                let named =
                    ["reader", "writer"].into_iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
                block = block.roles(named.map(|(_, name)| name));
            }
            if let Some(only) = only {
                block = block.only(only);
            }
            if let Some(end) = end {
                block = block.expires_at(start() + Duration::from_secs(end));
            }
            block
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_chain_allows_what_its_beginning_does_not(blocks in prop::collection::vec(block(), 1..5), later in 0..700_u64) {
        let now = start() + Duration::from_secs(later);
        let policy = policy();
        let mut tokens = vec![chain()];
        for block in blocks {
            tokens.push(tokens.last().unwrap().attenuate(block).unwrap());
        }
        for action in ["read", "write", "other"] {
            for resource in ["/src/a/b", "/src/x", "/etc/passwd"] {
                let allows = |token: &ChainToken| {
                    let verified = verifier().verify(token.expose(), now);
                    verified.is_ok_and(|chain| chain.permit(&policy, action, resource, now).is_allowed())
                };
                let allowed: Vec<bool> = tokens.iter().map(allows).collect();
                prop_assert!(allowed.is_sorted_by(|before, after| before >= after), "{allowed:?}");
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,300}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verifier().verify(&text, start()).is_err());
        prop_assert!(verifier().verify(&encoded(&bytes), start()).is_err());
        prop_assert!(verifier().verify(&encoded(&[b"CGCH\x01\x01".as_slice(), &bytes].concat()), start()).is_err());
    }
}
