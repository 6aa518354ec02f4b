//! A witness as others would write it: it checks by `signed_note` and `ct-merkle`, and has a state of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use ct_merkle::{ConsistencyProof, RootHash};
use ed25519_dalek::{Signer, SigningKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use signed_note::{Note, StandardVerifier, VerifierList};

/// How it behaves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mode {
    Honest,
    /// Signs with another key, under its own name.
    WrongKey,
    /// Signs another text.
    WrongText,
    /// Answers exactly this, after the status line.
    Says(&'static str, &'static str),
    /// Never ends its answer.
    Endless,
    /// A byte, now and then.
    Slow,
    /// Says nothing.
    Silent,
}

#[derive(Default)]
struct State {
    /// The log that it knows: verifier key, as the log gives it.
    log: Option<String>,
    latest: Option<(u64, [u8; 32])>,
    requests: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    mode: Arc<Mutex<Mode>>,
    key: SigningKey,
    tls: Option<Arc<rustls::ServerConfig>>,
}

pub(crate) const NAME: &str = "witness.example/w1";
/// When it signs, in seconds.
pub(crate) const TIME: u64 = 1_790_000_000;

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// With a certificate for 127.0.0.1 by the root in `vectors/witness`.
    pub(crate) fn start_tls() -> Self {
        let pem = include_bytes!("../../vectors/witness/certificate.pem");
        let certificate = CertificateDer::from_pem_slice(pem).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../vectors/witness/key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Self::start_with(Some(Arc::new(config.with_single_cert(vec![certificate], key).unwrap())))
    }

    fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
            mode: Arc::new(Mutex::new(Mode::Honest)),
            key: SigningKey::from_bytes(&[9; 32]),
            tls,
        };
        let own = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let own = own.clone();
                // A client that goes away is not the test's concern.
                std::thread::spawn(move || own.accept(stream.unwrap()).unwrap_or_default());
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/prefix", self.address)
    }

    /// The verifier key, made here from the specification.
    pub(crate) fn verifier(&self) -> String {
        let key = [[4].as_slice(), self.key.verifying_key().as_bytes()].concat();
        let id: String = self.id().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{NAME}+{id}+{}", Base64::encode_string(&key))
    }

    fn id(&self) -> [u8; 4] {
        let hash = Sha256::digest([NAME.as_bytes(), b"\n\x04", self.key.verifying_key().as_bytes()].concat());
        hash[..4].try_into().unwrap()
    }

    pub(crate) fn knows(&self, log: &str) {
        self.state.lock().unwrap().log = Some(log.to_owned());
    }

    pub(crate) fn be(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// What it signed last.
    pub(crate) fn size(&self) -> Option<u64> {
        self.state.lock().unwrap().latest.map(|(size, _)| size)
    }

    /// The sizes from which it was asked, since the last call.
    pub(crate) fn asked(&self) -> Vec<u64> {
        let requests = std::mem::take(&mut self.state.lock().unwrap().requests);
        let old = |request: String| request.lines().next()?.strip_prefix("old ")?.parse().ok();
        requests.into_iter().map(|request| old(request).unwrap()).collect()
    }

    fn accept(&self, stream: TcpStream) -> std::io::Result<()> {
        match &self.tls {
            None => self.serve(stream),
            Some(config) => {
                let connection = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
                self.serve(rustls::StreamOwned::new(connection, stream))
            }
        }
    }

    fn serve(&self, mut stream: impl Read + Write) -> std::io::Result<()> {
        loop {
            let Some((head, body)) = read(&mut stream)? else { return Ok(()) };
            assert!(head.starts_with("POST /prefix/add-checkpoint HTTP/1.1\r\n"), "{head}");
            self.state.lock().unwrap().requests.push(body.clone());
            let mode = self.mode.lock().unwrap().clone();
            match mode {
                Mode::Honest | Mode::WrongKey | Mode::WrongText => {
                    let (status, kind, answer) = self.answer(&body, &mode);
                    write!(
                        stream,
                        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{answer}",
                        answer.len()
                    )?;
                }
                Mode::Says(status, rest) => {
                    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{rest}")?;
                    return Ok(());
                }
                Mode::Endless => {
                    write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?;
                    loop {
                        stream.write_all(&[b'x'; 4096])?;
                    }
                }
                Mode::Slow => {
                    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
                    loop {
                        stream.write_all(b"x")?;
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
                Mode::Silent => std::thread::sleep(Duration::from_secs(60)),
            }
        }
    }

    fn answer(&self, body: &str, mode: &Mode) -> (u16, &'static str, String) {
        let plain = |status| (status, "text/plain", String::new());
        let mut state = self.state.lock().unwrap();
        let (proof, note) = body.split_once("\n\n").unwrap();
        let mut lines = proof.lines();
        let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
        let proof: Vec<u8> = lines.flat_map(|line| Base64::decode_vec(line).unwrap()).collect();
        let note = Note::from_bytes(note.as_bytes()).unwrap();
        let text = String::from_utf8(note.text().to_vec()).unwrap();
        let checkpoint: Vec<&str> = text.lines().collect();
        let (origin, size) = (checkpoint[0], checkpoint[1].parse::<u64>().unwrap());
        let root: [u8; 32] = Base64::decode_vec(checkpoint[2]).unwrap().try_into().unwrap();

        let Some(log) = state.log.as_ref().filter(|log| log.split('+').next() == Some(origin)) else {
            return plain(404);
        };
        let log = StandardVerifier::new(log).unwrap();
        if note.verify(&VerifierList::new(vec![Box::new(log)])).is_err() {
            return plain(403);
        }
        if old > size {
            return plain(400);
        }
        let latest = state.latest.map_or(0, |(size, _)| size);
        if old != latest || (old == size && old > 0 && state.latest != Some((size, root))) {
            return (409, "text/x.tlog.size", format!("{latest}\n"));
        }
        let root_of = |size: u64, root: [u8; 32]| RootHash::<Sha256>::new(root.into(), size);
        let holds = match state.latest {
            Some((old, old_root)) if old < size => {
                let proof = ConsistencyProof::try_from_bytes(proof);
                proof.is_ok_and(|proof| {
                    root_of(size, root).verify_consistency(&root_of(old, old_root), &proof).is_ok()
                })
            }
            _ => proof.is_empty(),
        };
        if !holds {
            return plain(422);
        }
        state.latest = Some((size, root));
        let key = match mode {
            Mode::WrongKey => SigningKey::from_bytes(&[8; 32]),
            _ => self.key.clone(),
        };
        let signed = if *mode == Mode::WrongText { text.replacen('\n', "x\n", 1) } else { text };
        let signature = key.sign(format!("cosignature/v1\ntime {TIME}\n{signed}").as_bytes());
        let bytes = [self.id().as_slice(), &TIME.to_be_bytes(), &signature.to_bytes()].concat();
        // And a line of somebody else, which is to be ignored.
        let other = Base64::encode_string(&[1; 76]);
        let line =
            format!("\u{2014} other.example {other}\n\u{2014} {NAME} {}\n", Base64::encode_string(&bytes));
        (200, "text/plain", line)
    }
}

/// Head and body of the next request; `None` at the end.
fn read(stream: &mut impl Read) -> std::io::Result<Option<(String, String)>> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        bytes.push(byte[0]);
        if bytes.ends_with(b"\r\n\r\n") {
            break String::from_utf8(bytes).unwrap();
        }
    };
    let length = end.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = vec![0; length.unwrap()];
    stream.read_exact(&mut body)?;
    Ok(Some((end, String::from_utf8(body).unwrap())))
}
