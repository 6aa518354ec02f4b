//! What sealing files costs: beside the raw cipher, on two cores, beside Fernet, and by AWS-LC.
//!
//! `cargo bench --bench crypto`. Fernet is that of Python's `cryptography` where `python3` has it; else its
//! arithmetic in Rust: AES-128-CBC, HMAC-SHA256, base64.

use std::error::Error;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use codegenie_benches::{Goal, figure, quantile_us};
use codegenie_security::{AwsLc, FileOpener, FileSealer, SealingKey};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const MIB: usize = 1 << 20;
const CHUNK: usize = 16 * 1024;

fn main() -> Result<()> {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let rounds = if is_bench { 201 } else { 3 };
    let key = SealingKey::generate()?;
    let plain: Vec<u8> = (0..MIB).map(|i| (i * 31) as u8).collect();
    let sealer = FileSealer::new(&key);

    // One thread, 1 MiB: the raw cipher seals it in place, in messages of the size of a file's chunks, and as one.
    let raw_key = ChaCha20Poly1305::new(&[7; 32].into());
    let mut buffer = plain.clone();
    let raw_in = |buffer: &mut [u8], message: usize| -> Result<()> {
        for part in buffer.chunks_mut(message) {
            let tag = raw_key.encrypt_inout_detached(&[0; 12].into(), b"", part.into());
            black_box(tag).map_err(|_| "the raw cipher failed")?;
        }
        Ok(())
    };
    let (one_message, _) = in_turn(rounds, &mut || raw_in(&mut buffer, MIB), &mut || Ok(()))?;
    show("RustCrypto, raw, one message", MIB, one_message);
    let mut raw = || raw_in(&mut buffer, CHUNK);
    let mut sealed = Vec::new();
    let mut ours = || Ok(sealer.seal_slice_into(&plain, &mut sealed)?);
    let (raw_rust, ours_rust) = in_turn(rounds, &mut raw, &mut ours)?;
    show("RustCrypto, raw, 16 KiB a message", MIB, raw_rust);
    show("a file of ours, one thread", MIB, ours_rust);

    let raw_key = LessSafeKey::new(
        UnboundKey::new(&aws_lc_rs::aead::CHACHA20_POLY1305, &[7; 32]).map_err(|_| "no key by AWS-LC")?,
    );
    let mut raw = || {
        for part in buffer.chunks_mut(CHUNK) {
            let nonce = Nonce::assume_unique_for_key([0; 12]);
            let tag = raw_key.seal_in_place_separate_tag(nonce, Aad::empty(), part);
            black_box(tag.map_err(|_| "the raw cipher failed")?.as_ref());
        }
        Ok(())
    };
    let by_aws = sealer.clone().backend(&AwsLc);
    let mut ours = || Ok(by_aws.seal_slice_into(&plain, &mut sealed)?);
    let (raw_aws, ours_aws) = in_turn(rounds, &mut raw, &mut ours)?;
    show("AWS-LC, raw, 16 KiB a message", MIB, raw_aws);
    show("a file of ours, by AWS-LC", MIB, ours_aws);

    // Two cores: 32 MiB in memory, and a file on disk.
    let large: Vec<u8> = plain.iter().copied().cycle().take(if is_bench { 32 * MIB } else { MIB }).collect();
    let pools = [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build());
    let [Ok(one), Ok(two)] = pools else { return Err("no thread pool".into()) };
    let sealed = std::cell::RefCell::new(Vec::new());
    let on = |pool: &rayon::ThreadPool| -> Result<()> {
        let sealed: &mut Vec<u8> = &mut sealed.borrow_mut();
        Ok(pool.install(|| sealer.seal_slice_parallel_into(&large, sealed))?)
    };
    let some = rounds / 10 + 1;
    let (alone, together) = in_turn(some, &mut || on(&one), &mut || on(&two))?;
    show("32 MiB in memory, one thread", large.len(), alone);
    show("32 MiB in memory, two", large.len(), together);
    let dir = tempfile::tempdir()?;
    let (from, to) = (dir.path().join("plain"), dir.path().join("sealed"));
    std::fs::write(&from, &large)?;
    let file = |pool: &rayon::ThreadPool| -> Result<()> {
        pool.install(|| sealer.seal_file(&from, &to))?;
        Ok(std::fs::remove_file(&to)?)
    };
    let (file_alone, file_together) = in_turn(some, &mut || file(&one), &mut || file(&two))?;
    show("32 MiB on disk, synced, one thread", large.len(), file_alone);
    show("32 MiB on disk, synced, two", large.len(), file_together);

    // Opening, for the table.
    let sealed = sealer.seal_slice(&plain)?;
    let opener = FileOpener::new(&key);
    let mut open = || {
        black_box(opener.open_slice(&sealed)?);
        Ok(())
    };
    let (opened, _) = in_turn(rounds, &mut open, &mut || Ok(()))?;
    show("opening, one thread", MIB, opened);

    let (fernet, whose) = fernet(is_bench, &plain)?;
    show(whose, MIB, fernet);
    let mut sealed = Vec::new();
    let mut parallel = || Ok(two.install(|| sealer.seal_slice_parallel_into(&plain, &mut sealed))?);
    let (ours_two, _) = in_turn(rounds, &mut parallel, &mut || Ok(()))?;
    show("a file of ours, two threads", MIB, ours_two);

    figure("crypto_file_seal_vs_raw", ratio(raw_rust, ours_rust), "x", Goal::AtLeast(0.95));
    figure("crypto_file_seal_two_cores", ratio(alone, together), "x", Goal::AtLeast(1.7));
    // As this crate seals 1 MiB where it may use both cores, which Fernet cannot; and on one.
    figure("crypto_file_seal_vs_fernet_1mib", ratio(fernet, ours_two), "x", Goal::AtLeast(7.0));
    figure("crypto_file_seal_vs_fernet_1mib_one_thread", ratio(fernet, ours_rust), "x", Goal::AtLeast(7.0));
    figure("crypto_file_seal_vs_fernet_1mib_aws_lc", ratio(fernet, ours_aws), "x", Goal::AtLeast(7.0));
    figure("crypto_file_seal_aws_lc_vs_raw", ratio(raw_aws, ours_aws), "x", Goal::AtLeast(0.95));
    Ok(())
}

/// The median of each, measured in turn.
fn in_turn(
    rounds: usize,
    a: &mut dyn FnMut() -> Result<()>,
    b: &mut dyn FnMut() -> Result<()>,
) -> Result<(Duration, Duration)> {
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for round in 0..rounds + 3 {
        let since = Instant::now();
        a()?;
        let between = Instant::now();
        b()?;
        if round >= 3 {
            of_a.push(between - since);
            of_b.push(between.elapsed());
        }
    }
    let median = |samples: &[Duration]| Duration::from_secs_f64(quantile_us(samples, 0.5) / 1e6);
    Ok((median(&of_a), median(&of_b)))
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn show(name: &str, bytes: usize, time: Duration) {
    let rate = bytes as f64 / MIB as f64 / time.as_secs_f64();
    println!("{name:36} {:9.1} us  {rate:7.0} MiB/s", time.as_secs_f64() * 1e6);
}

/// Fernet at 1 MiB, and which Fernet it was. Python times itself, so that its start does not count.
fn fernet(is_bench: bool, plain: &[u8]) -> Result<(Duration, &'static str)> {
    let rounds = if is_bench { 60 } else { 2 };
    let script = format!(
        "import time
from cryptography.fernet import Fernet
f, d, t = Fernet(Fernet.generate_key()), bytes(i * 31 % 256 for i in range({MIB})), []
for _ in range({rounds}):
    a = time.perf_counter(); f.encrypt(d); t.append(time.perf_counter() - a)
print(sorted(t)[len(t) // 2])"
    );
    let python = Command::new("python3").args(["-c", &script]).output();
    let seconds = python.ok().filter(|output| output.status.success()).and_then(|output| {
        String::from_utf8_lossy(&output.stdout).trim().parse::<f64>().ok().map(Duration::from_secs_f64)
    });
    if let Some(fernet) = seconds {
        return Ok((fernet, "Fernet, Python's"));
    }
    let mut encrypt = || {
        black_box(equivalent(plain)?);
        Ok(())
    };
    Ok((in_turn(rounds, &mut encrypt, &mut || Ok(()))?.0, "Fernet's arithmetic in Rust"))
}

/// Fernet's: version, time, IV, AES-128-CBC, HMAC-SHA256 over all of it, and base64 of that.
fn equivalent(plain: &[u8]) -> Result<String> {
    use aws_lc_rs::cipher::{AES_128, PaddedBlockEncryptingKey, UnboundCipherKey};
    use aws_lc_rs::hmac;
    let key = UnboundCipherKey::new(&AES_128, &[1; 16]).map_err(|_| "no AES key")?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).map_err(|_| "no CBC key")?;
    let mut body = plain.to_vec();
    let iv = key.encrypt(&mut body).map_err(|_| "AES failed")?;
    let iv: &[u8] = (&iv).try_into().map_err(|_| "no IV")?;
    let mut token = [&[0x80, 0, 0, 0, 0, 0, 0, 0, 0], iv, &body].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[2; 16]), &token);
    token.extend_from_slice(tag.as_ref());
    use base64ct::{Base64Url, Encoding};
    Ok(Base64Url::encode_string(&token))
}
