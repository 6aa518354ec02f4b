//! One request to a witness: bounded in time and in bytes, without redirects, proxies and other places' roots of trust.

use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::address::{Address, BadWitness};
use super::protocol::Response;

/// Bytes that an answer may have: some hundred signatures.
const MAX_ANSWER: u64 = 64 * 1024;

/// What certificates of witnesses are checked against.
#[derive(Clone)]
pub(super) enum Roots {
    System,
    Given(Arc<Vec<Certificate<'static>>>),
}

impl Roots {
    pub(super) fn of_pem(pem: &[u8]) -> Result<Self, BadWitness> {
        let bad = |reason: String| BadWitness::Roots { reason };
        let mut certificates = Vec::new();
        for item in parse_pem(pem) {
            if let PemItem::Certificate(certificate) = item.map_err(|error| bad(error.to_string()))? {
                certificates.push(certificate);
            }
        }
        match certificates.is_empty() {
            true => Err(bad("there is none".to_owned())),
            false => Ok(Self::Given(Arc::new(certificates))),
        }
    }

    fn certificates(&self) -> Arc<Vec<Certificate<'static>>> {
        match self {
            Self::Given(certificates) => Arc::clone(certificates),
            Self::System => {
                let found = rustls_native_certs::load_native_certs().certs;
                Arc::new(found.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
            }
        }
    }
}

pub(super) struct Client {
    agent: ureq::Agent,
}

impl Client {
    pub(super) fn new(address: &Address, roots: &Roots, timeout: Duration) -> Self {
        // Of a machine that is asked without TLS no certificate is looked at.
        let roots = if address.is_tls { roots.certificates() } else { Arc::default() };
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::Specific(roots))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .https_only(address.is_tls)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent("codegenie-audit")
            .timeout_global(Some(timeout))
            .build();
        Self { agent: config.into() }
    }

    pub(super) fn post(&self, url: &str, body: &str) -> Result<Response, ureq::Error> {
        let mut response = self.agent.post(url).content_type("text/plain; charset=utf-8").send(body)?;
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec()?;
        Ok(Response { status, content_type, body })
    }
}
