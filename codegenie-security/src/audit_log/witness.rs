//! A witness over HTTP (`c2sp.org/tlog-witness`) as an anchor: it signs only what goes on from what it signed before.

mod address;
mod http;
mod protocol;
mod state;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::anchor::{Anchor, AnchorError, AnchorObjection, AnchorUpdate, AnchoredCheckpoint};
use crate::tlog::{Checkpoint, CosignatureVerifier, Note};
use address::Address;
pub use address::BadWitness;
use http::{Client, Roots};
use protocol::Answer;
pub use state::Cosigned;
use state::State;

/// An anchor that is a witness of transparency logs on another machine.
///
/// Each checkpoint is sent to it with the proof that it goes on from the last one that it signed; it answers with its signature
/// and the time. It must have been told the log's [key for witnesses](crate::AuditLog::witness_key) beforehand. Its signature
/// is believed after it was verified. A witness that signed more than the log has, or to which the log cannot prove that it goes
/// on, [objects](AnchorError::objection): that is `RolledBack` or `Forked` for [`AuditReader::verify_against`], and the log is not
/// opened with this anchor until its file has been removed, by whoever has found out what happened.
///
/// A witness out of reach is one failure more in [`AnchorStatus`](crate::AnchorStatus), and it is asked again later; where anchors are
/// [required](crate::AuditLogOptions::require_anchors) it has to answer at the opening. What it
/// signed last lies in a file of the host's choice; without it, as after a loss of the disk, the witness is asked how far it got.
///
/// ```no_run
/// use codegenie_security::tlog::CosignatureVerifier;
/// use codegenie_security::{AuditLogOptions, AuditReader, HttpWitness, SealingKey};
///
/// let witness: CosignatureVerifier = "witness.example/w1+…".parse()?;
/// let witness = HttpWitness::new("https://witness.example/w1", witness, "/var/lib/agent/audit.witness")?;
/// let witness = std::sync::Arc::new(witness);
/// let key = SealingKey::generate()?;
/// let log = AuditLogOptions::new().anchor(witness.clone()).open("/var/lib/agent/audit", &key)?;
/// println!("{}", log.witness_key());
///
/// let verification = AuditReader::open(log.path(), &key)?.verify_against(&[&witness])?;
/// println!("{verification}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`AuditReader::verify_against`]: crate::AuditReader::verify_against
pub struct HttpWitness {
    address: Address,
    witness: CosignatureVerifier,
    file: PathBuf,
    timeout: Duration,
    roots: Roots,
    client: OnceLock<Client>,
    /// One question at a time, so that the file says what was answered last.
    asking: Mutex<()>,
}

impl HttpWitness {
    /// The witness at a prefix (`https://…`, to which `/add-checkpoint` is appended), by its key, with the file in which is
    /// kept what it signed. The file need not be there yet; its directory must be.
    ///
    /// Without TLS it must be a loopback address, as number.
    pub fn new(
        url: &str,
        witness: CosignatureVerifier,
        file: impl Into<PathBuf>,
    ) -> Result<Self, BadWitness> {
        Self::at(Address::parse(url, false)?, witness, file.into())
    }

    /// As [`new`](Self::new), also without TLS to another machine. Whoever is on the way then cannot forge a signature, but can
    /// say what the witness never said: that the log was put back.
    pub fn dangerous_plain_http(
        url: &str,
        witness: CosignatureVerifier,
        file: impl Into<PathBuf>,
    ) -> Result<Self, BadWitness> {
        Self::at(Address::parse(url, true)?, witness, file.into())
    }

    fn at(address: Address, witness: CosignatureVerifier, file: PathBuf) -> Result<Self, BadWitness> {
        let timeout = Duration::from_secs(10);
        let (client, asking) = (OnceLock::new(), Mutex::new(()));
        Ok(Self { address, witness, file, timeout, roots: Roots::System, client, asking })
    }

    /// How long a whole request may take, from the look-up of the name to the last byte: 10 seconds by default. Closing a log
    /// waits for two of them at most.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self.client = OnceLock::new();
        self
    }

    /// Trusts these certificates, in PEM, instead of those of the system.
    pub fn roots(mut self, pem: &[u8]) -> Result<Self, BadWitness> {
        self.roots = Roots::of_pem(pem)?;
        self.client = OnceLock::new();
        Ok(self)
    }

    /// The last checkpoint that the witness signed, as it is kept here.
    pub fn cosigned(&self) -> Result<Option<Cosigned>, AnchorError> {
        Ok(State::load(&self.file, &self.witness)?.cosigned)
    }

    fn tell(&self, update: &AnchorUpdate<'_>) -> Result<(), AnchorError> {
        let _one = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let own = update.checkpoint().claim();
        let own = own.ok_or_else(|| AnchorError::new("the checkpoint to be witnessed is none"))?;
        let mut state = State::load(&self.file, &self.witness)?;
        let of_another =
            |known: &Cosigned| known.anchored.claim().is_none_or(|known| known.origin() != own.origin());
        if state.cosigned.as_ref().is_some_and(of_another) {
            return Err(
                self.failed("the file is of another log; give each log and witness a file of its own")
            );
        }
        let known = state.cosigned.as_ref().map_or(0, Cosigned::size);
        match self.ask(update, &own, known) {
            Ok((note, time)) => {
                let anchored = update.checkpoint().clone();
                State { cosigned: Some(Cosigned { anchored, note, time }), objection: None }.store(&self.file)
            }
            Err(error) => {
                if let Some(objection) = error.objection() {
                    state.objection = Some(objection);
                    state.store(&self.file)?;
                }
                Err(error)
            }
        }
    }

    /// Asks for a signature, a second time where the witness knows another size than is known of it.
    fn ask(
        &self,
        update: &AnchorUpdate<'_>,
        own: &Checkpoint,
        known: u64,
    ) -> Result<(Note, std::time::SystemTime), AnchorError> {
        let size = own.head().size;
        let note = update.signed_for_witness()?;
        let mut old = known;
        for is_last in [false, true] {
            if old > size {
                return Err(self.ahead(update, old, size));
            }
            let request = protocol::request(old, &update.consistency(old)?, &note);
            let request =
                request.ok_or_else(|| self.failed("the proof has more hashes than a tree has levels"))?;
            let client = self.client.get_or_init(|| Client::new(&self.address, &self.roots, self.timeout));
            let response = client.post(&self.address.add_checkpoint(), &request);
            let response = response.map_err(|error| {
                self.failed(&format!("{error}; check the address, the network, and that it runs"))
            })?;
            match protocol::answer(response) {
                Answer::Signatures(lines) => {
                    return self.witness.cosigned(&note, &lines).map_err(|error| {
                        self.failed(&format!("{error} (its answer is not the signature of {})", self.witness))
                    });
                }
                Answer::Size(answered) if answered > size => return Err(self.ahead(update, answered, size)),
                // It was asked from there, so it is the root that differs.
                Answer::Size(answered) if answered == old && old == size => return Err(self.forked(size)),
                Answer::Size(answered) if answered != old && !is_last => old = answered,
                Answer::Conflict if old == size && size > 0 => return Err(self.forked(size)),
                Answer::ProofRefused if old > 0 => return Err(self.forked(old)),
                Answer::UnknownLog => {
                    return Err(
                        self.failed("it does not know the log; have its `witness_key` registered there")
                    );
                }
                Answer::UnknownKey => {
                    return Err(self.failed(
                        "it knows the log by another key; have the log's `witness_key` registered there",
                    ));
                }
                Answer::Size(_) | Answer::Conflict | Answer::ProofRefused => {
                    return Err(self.failed("its answers contradict each other; ask who runs it"));
                }
                Answer::Other(status) => {
                    return Err(self.failed(&format!(
                        "it answered {status}, which is not of the protocol; check the address, redirects are not followed"
                    )));
                }
            }
        }
        Err(self.failed("it changes while it is asked; it is asked again"))
    }

    /// The witness knows more than this checkpoint has.
    fn ahead(&self, update: &AnchorUpdate<'_>, anchored: u64, size: u64) -> AnchorError {
        // The log may have grown meanwhile, and another process of the host have told so.
        if update.size_now().is_some_and(|now| now >= anchored && now > size) {
            return self.failed(
                "it was told of a later checkpoint by somebody else of the host; it is told the next one",
            );
        }
        let reason = format!(
            "witness {} has signed {anchored} leaves of the log, which has {size}: the log was put back; find out by whom, then \
             remove {:?}",
            self.witness.name(),
            self.file
        );
        AnchorError::objecting(AnchorObjection::rolled_back(anchored), reason)
    }

    fn forked(&self, anchored: u64) -> AnchorError {
        let reason = format!(
            "witness {} has signed other {anchored} leaves than the log has: the log has two histories; find out since when, then \
             remove {:?}",
            self.witness.name(),
            self.file
        );
        AnchorError::objecting(AnchorObjection::forked(anchored), reason)
    }

    fn failed(&self, what: &str) -> AnchorError {
        let (name, at) = (self.witness.name(), self.address.prefix());
        AnchorError::new(format!("witness {name} at {at}: {what}"))
    }
}

impl Anchor for HttpWitness {
    fn publish(&self, update: &AnchorUpdate<'_>) -> Result<(), AnchorError> {
        self.tell(update)
    }

    /// What is kept of it here. The witness itself is asked by [`publish`](Anchor::publish), which comes first after an opening.
    fn latest(&self) -> Result<Option<AnchoredCheckpoint>, AnchorError> {
        let state = State::load(&self.file, &self.witness)?;
        match state.objection {
            Some(AnchorObjection::RolledBack { anchored }) => {
                let text = format!("{:?} says that the log was put back from {anchored} leaves", self.file);
                Err(AnchorError::objecting(AnchorObjection::rolled_back(anchored), text))
            }
            Some(AnchorObjection::Forked { anchored }) => {
                let text = format!("{:?} says that the log has other {anchored} leaves", self.file);
                Err(AnchorError::objecting(AnchorObjection::forked(anchored), text))
            }
            None => Ok(state.cosigned.map(|cosigned| cosigned.anchored)),
        }
    }

    fn confirms(&self, update: &AnchorUpdate<'_>) -> Result<bool, AnchorError> {
        self.tell(update).map(|()| true)
    }
}

impl fmt::Debug for HttpWitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpWitness")
            .field("at", &self.address.prefix())
            .field("witness", &self.witness)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
