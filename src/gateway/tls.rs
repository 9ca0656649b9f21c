//! TLS in and out: rustls with aws-lc-rs, TLS 1.2 and 1.3.
//!
//! Files are read once and whole; what was made of them carries their digest, so that whoever reads
//! them again knows whether anything changed. A listener whose files changed gets a new
//! configuration and with it an empty memory of sessions: nobody resumes a session that an
//! authority vouched for which is trusted no more. Connections that are open keep what they have.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sha2::{Digest, Sha256};

use crate::config::raw::{ClientCertificates, Http2, Tls};

/// A certificate, key or authority that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {why}")]
pub struct TlsError {
    file: String,
    why: String,
}

/// A side of TLS, and the digest of the files it was made of.
#[derive(Clone)]
pub(crate) struct Made<C> {
    pub(crate) config: Arc<C>,
    digest: [u8; 32],
}

/// What the listener speaks.
pub(crate) type Listening = Made<ServerConfig>;

/// What an upstream is met with.
pub(crate) type Calling = Made<ClientConfig>;

/// Files that are read, and the digest of what was read so far and else makes a difference.
#[derive(Default)]
struct Reading(Sha256);

// === impl TlsError ===

impl TlsError {
    fn at(file: &Path, why: impl std::fmt::Display) -> Self {
        Self { file: file.display().to_string(), why: why.to_string() }
    }
}

/// What keeps a listener from speaking TLS with these files, each with the key of `gateway.tls` that
/// names the file; none where they do not fit together.
#[must_use]
pub fn check(files: &Tls) -> Vec<(&'static str, TlsError)> {
    let mut reading = Reading::default();
    let faults = [
        ("certificate", reading.certificates(&files.certificate).err()),
        ("key", reading.key(&files.key).err()),
        ("client_ca", files.client_ca.as_deref().and_then(|it| reading.authorities(it).err())),
    ];
    all_or(faults, || server(files).err())
}

/// The same for what an upstream is met with, by the keys of `[[upstream]]`.
pub(crate) fn check_client(
    ca_file: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Vec<(&'static str, TlsError)> {
    let mut reading = Reading::default();
    let faults = [
        ("ca_file", ca_file.and_then(|it| reading.authorities(it).err())),
        ("client_certificate", identity.and_then(|(it, _)| reading.certificates(it).err())),
        ("client_key", identity.and_then(|(_, it)| reading.key(it).err())),
    ];
    all_or(faults, || client(ca_file, identity, Http2::Never).err())
}

/// The faults of single files; where there are none, that of all together.
fn all_or(
    single: [(&'static str, Option<TlsError>); 3],
    together: impl FnOnce() -> Option<TlsError>,
) -> Vec<(&'static str, TlsError)> {
    let mut faults: Vec<_> =
        single.into_iter().filter_map(|(key, fault)| Some((key, fault?))).collect();
    if faults.is_empty() {
        faults.extend(together().map(|fault| ("", fault)));
    }
    faults
}

/// What the listener speaks: ALPN `h2` and `http/1.1`; with `client_ca` it asks for certificates,
/// and one that does not verify ends the handshake, wanted or not.
pub(crate) fn server(files: &Tls) -> Result<Listening, TlsError> {
    let mut reading = Reading::default();
    let chain = reading.certificates(&files.certificate)?;
    let key = reading.key(&files.key)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::at(&files.certificate, error))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let roots = Arc::new(reading.authorities(file)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match files.client_certificates.unwrap_or_default() {
                ClientCertificates::Required => verifier,
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build().map_err(|error| TlsError::at(file, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| TlsError::at(&files.certificate, error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Of what both have, the stronger, whatever an old client would rather.
    config.ignore_client_order = true;
    Ok(reading.made(config))
}

/// What an upstream is met with: the built-in web roots or the operator's authorities, and the
/// certificate that the gateway shows, if it has one.
pub(crate) fn client(
    ca_file: Option<&Path>,
    identity: Option<(&Path, &Path)>,
    http2: Http2,
) -> Result<Calling, TlsError> {
    let mut reading = Reading::default();
    let roots = match ca_file {
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        Some(file) => reading.authorities(file)?,
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let built_in = Path::new("web roots");
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::at(ca_file.unwrap_or(built_in), error))?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(reading.certificates(certificate)?, reading.key(key)?)
            .map_err(|error| TlsError::at(certificate, error))?,
    };
    let protocols: &[&[u8]] = match http2 {
        Http2::Never => &[b"http/1.1"],
        Http2::Alpn => &[b"h2", b"http/1.1"],
        Http2::Always => &[b"h2"],
    };
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    reading.0.update(protocols.concat());
    Ok(reading.made(config))
}

/// The name a server has to prove.
pub(crate) fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

// === impl Made ===

impl<C> Made<C> {
    /// Whether both were made alike, of files that say the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// Whether both are one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

// === impl Reading ===

impl Reading {
    fn bytes(&mut self, file: &Path) -> Result<Vec<u8>, TlsError> {
        let bytes = std::fs::read(file)
            .map_err(|error| TlsError::at(file, format!("cannot be read: {error}")))?;
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(&bytes);
        Ok(bytes)
    }

    fn certificates(&mut self, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.bytes(file)?)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsError::at(file, format!("no certificates: {error}")))?;
        if chain.is_empty() {
            return Err(TlsError::at(file, "holds no certificate"));
        }
        Ok(chain)
    }

    fn key(&mut self, file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.bytes(file)?)
            .map_err(|error| TlsError::at(file, format!("no private key: {error}")))
    }

    fn authorities(&mut self, file: &Path) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(file)? {
            roots.add(certificate).map_err(|error| TlsError::at(file, error))?;
        }
        Ok(roots)
    }

    fn made<C>(self, config: C) -> Made<C> {
        Made { config: Arc::new(config), digest: self.0.finalize().into() }
    }
}
