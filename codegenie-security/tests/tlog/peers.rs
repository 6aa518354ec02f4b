//! The same done by Rust crates that nobody here wrote: `ct-merkle` and `signed_note`.

use codegenie_security::tlog::{
    ConsistencyProof, Hash, InclusionProof, MemoryTree, Note, NoteSigner, TreeHead, leaf_hash,
};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use signed_note::{Signer, StandardSigner, StandardVerifier, Verifier, VerifierList};

use crate::{entry, signer};

type Peer = MemoryBackedTree<Sha256, Vec<u8>>;

fn concat(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.as_bytes()).copied().collect()
}

fn split(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks::<32>().0.iter().copied().map(Hash::from_bytes).collect()
}

#[test]
fn ct_merkle_makes_the_same_roots_and_proofs_and_takes_ours() {
    let (mut ours, mut theirs) = (MemoryTree::new(), Peer::new());
    let mut roots = Vec::new();
    for size in 1..=130_u64 {
        ours.append(leaf_hash(&entry(size - 1))).unwrap();
        theirs.push(entry(size - 1));
        let root = theirs.root();
        let head = ours.tree().head();
        assert_eq!((head.size, head.root.as_bytes()[..].to_vec()), (size, root.as_bytes().to_vec()));
        roots.push((head, root.clone()));
        for index in 0..size {
            let proof = InclusionProof::make(&ours, size, index).unwrap();
            let peer = theirs.prove_inclusion(index as usize);
            assert_eq!(concat(proof.hashes()), peer.as_bytes());
            let proof = ct_merkle::InclusionProof::try_from_bytes(concat(proof.hashes())).unwrap();
            root.verify_inclusion(&entry(index), index, &proof).unwrap();
            let proof = InclusionProof::from_hashes(split(peer.as_bytes()));
            proof.verify(index, &leaf_hash(&entry(index)), &head).unwrap();
        }
        for (old, old_root) in &roots {
            let proof = ConsistencyProof::make(&ours, old.size, size).unwrap();
            let peer = theirs.prove_consistency((size - old.size) as usize);
            // Of the same tree, the peer has proofs of its own kind.
            if old.size < size {
                assert_eq!(concat(proof.hashes()), peer.as_bytes(), "{} {size}", old.size);
                root.verify_consistency(old_root, &peer).unwrap();
                ConsistencyProof::from_hashes(split(peer.as_bytes())).verify(old, &head).unwrap();
            }
        }
    }
}

proptest! {
    /// Wrong proofs are refused alike.
    #[test]
    fn ct_merkle_refuses_the_same_inclusions(
        size in 1..40_u64,
        index in 0..42_u64,
        of in 0..40_u64,
        in_size in 1..40_u64,
        change in prop::option::of((any::<prop::sample::Index>(), 0..256_usize)),
    ) {
        let (log, of) = (crate::log(in_size), of % in_size);
        let mut hashes = InclusionProof::make(&log, in_size, of).unwrap().hashes().to_vec();
        if let (Some((place, bit)), false) = (change, hashes.is_empty()) {
            let place = place.index(hashes.len());
            let mut bytes = *hashes[place].as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            hashes[place] = Hash::from_bytes(bytes);
        }
        let root = crate::head(&log, in_size).root;
        let head = TreeHead { size, root };
        let peer = ct_merkle::RootHash::<Sha256>::new((*root.as_bytes()).into(), size);
        let proof = ct_merkle::InclusionProof::from_digests(
            &hashes.iter().map(|hash| (*hash.as_bytes()).into()).collect::<Vec<_>>(),
        );
        let ours = InclusionProof::from_hashes(hashes).verify(index, &leaf_hash(&entry(of)), &head);
        prop_assert_eq!(ours.is_ok(), peer.verify_inclusion(&entry(of), index, &proof).is_ok());
    }
}

fn peer_keys() -> (StandardSigner, VerifierList) {
    let verifier = StandardVerifier::new(&signer().verifier().to_string()).unwrap();
    (StandardSigner::new(signer().to_text().expose()).unwrap(), VerifierList::new(vec![Box::new(verifier)]))
}

#[test]
fn signed_note_takes_our_keys_and_notes_and_we_take_its() {
    let (peer, known) = peer_keys();
    assert_eq!((peer.name(), peer.key_id()), (signer().name(), signer().id()));
    let text = "a\n\n\u{2014} b\n";
    let ours = Note::sign(text, &signer()).unwrap().to_string();
    let theirs = signed_note::Note::from_bytes(ours.as_bytes()).unwrap();
    let (verified, unverified) = theirs.verify(&known).unwrap();
    assert_eq!((verified.len(), unverified.len(), theirs.text()), (1, 0, text.as_bytes()));

    let mut theirs = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
    theirs.add_sigs(&[&peer]).unwrap();
    assert_eq!(String::from_utf8(theirs.to_bytes()).unwrap(), ours);
    let keys = [signer().verifier()];
    assert_eq!(Note::parse(&theirs.to_bytes()).unwrap().open(&keys).unwrap().text(), text);

    let other = NoteSigner::new("w", codegenie_security::SigningKey::from_seed([9; 32])).unwrap();
    let verifier = StandardVerifier::new(&other.verifier().to_string()).unwrap();
    assert_eq!((verifier.name(), verifier.key_id()), ("w", other.id()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// What we take as a note with a good signature, it takes with the same text. It takes more: base64 whose
    /// last bits belong to no byte.
    #[test]
    fn signed_note_takes_what_we_take(
        text in "[a-b \u{2014}\n]{0,12}\n",
        more in "(\u{2014} [ab+]{0,2} [AQ=]{0,12}\n?){0,2}",
        changes in prop::collection::vec((any::<u16>(), 1..=255_u8), 0..2),
    ) {
        let (_, known) = peer_keys();
        let mut bytes = format!("{}{more}", Note::sign(text, &signer()).unwrap()).into_bytes();
        for (place, mask) in changes {
            let place = usize::from(place) % bytes.len();
            bytes[place] ^= mask;
        }
        let keys = [signer().verifier()];
        let ours = Note::parse(&bytes);
        let ours = ours.as_ref().ok().and_then(|note| note.open(&keys).ok()).map(|note| note.text().as_bytes());
        let theirs = signed_note::Note::from_bytes(&bytes).ok();
        let theirs = theirs.as_ref().and_then(|note| note.verify(&known).ok().map(|_| note.text()));
        if ours.is_some() {
            prop_assert_eq!(ours, theirs);
        }
    }
}
