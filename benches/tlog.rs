//! What a transparency log costs: appending leaves and computing roots, beside the SHA-256 of the nodes.
//!
//! `cargo bench --bench tlog`.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use codegenie_benches::{Goal, figure, quantile_us};
use codegenie_security::SigningKey;
use codegenie_security::tlog::{Checkpoint, Hash, InclusionProof, MemoryTree, NoteSigner, Tree, leaf_hash};
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let (rounds, leaves) = if is_bench { (1001, 1_000_u32) } else { (3, 100) };
    let hashes: Vec<Hash> = (0..leaves).map(|number| leaf_hash(&number.to_le_bytes())).collect();

    // A node is 65 bytes. A tree has one node less than leaves.
    let mut raw = || {
        for pair in 1..leaves {
            let mut node = [1; 65];
            node[..4].copy_from_slice(&pair.to_le_bytes());
            black_box(Sha256::digest(node));
        }
        Ok(())
    };
    let mut tree = Tree::new();
    let mut append = || {
        tree = Tree::new();
        for hash in &hashes {
            tree.append(*hash)?;
        }
        black_box(&tree);
        Ok(())
    };
    let mut kept = || {
        let mut log = MemoryTree::new();
        for hash in &hashes {
            log.append(*hash)?;
        }
        black_box(&log);
        Ok(())
    };
    let [raw, append, kept] = in_turn(rounds, [&mut raw, &mut append, &mut kept])?;
    println!("SHA-256 of the nodes: {:.1} ns a leaf", raw * 1e3 / f64::from(leaves));
    println!("appended: {:.1} ns a leaf", append * 1e3 / f64::from(leaves));
    println!("appended, all hashes kept: {:.1} ns a leaf", kept * 1e3 / f64::from(leaves));
    figure("tlog_append_per_sha256", append / raw, "x", Goal::AtMost(1.1));

    let mut log = MemoryTree::new();
    hashes.iter().try_for_each(|hash| log.append(*hash).map(drop))?;
    let size = log.tree().size();
    let signer = NoteSigner::new("example.com/log", SigningKey::generate()?)?;
    let head = log.tree().head();
    let signed = Checkpoint::new("example.com/log", head)?.sign(&signer)?.to_string();
    let proof = InclusionProof::make(&log, size, size / 3)?;
    let leaf = hashes.get(size as usize / 3).copied().unwrap_or(Hash::EMPTY);
    let mut root = || keep(log.tree().root());
    let mut sign = || keep(Checkpoint::new("example.com/log", log.tree().head())?.sign(&signer)?);
    let verifier = signer.verifier();
    let mut open = || {
        let note = codegenie_security::tlog::Note::parse(signed.as_bytes())?;
        keep(Checkpoint::open(&note, "example.com/log", &verifier)?)
    };
    let mut prove = || keep(InclusionProof::make(&log, size, size / 3)?);
    let mut verify = || Ok(proof.verify(size / 3, &leaf, &head)?);
    let times = in_turn(rounds, [&mut root, &mut sign, &mut open, &mut prove, &mut verify])?;
    for (name, time) in
        ["root", "checkpoint signed", "checkpoint opened", "inclusion proved", "inclusion verified"]
            .iter()
            .zip(times)
    {
        println!("{name}: {time:.2} us, {size} leaves");
    }
    Ok(())
}

/// Computes it though nobody asks.
fn keep<T>(value: T) -> Result<()> {
    black_box(value);
    Ok(())
}

/// The medians of what each takes, in microseconds, one after the other in each round.
fn in_turn<const N: usize>(
    rounds: usize,
    mut works: [&mut dyn FnMut() -> Result<()>; N],
) -> Result<[f64; N]> {
    let mut samples: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (work, samples) in works.iter_mut().zip(&mut samples) {
            let start = Instant::now();
            work()?;
            samples.push(start.elapsed());
        }
    }
    Ok(samples.map(|samples| quantile_us(&samples, 0.5)))
}
