//! An authority of a test's own, and what it has signed.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair,
};
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::file;

/// An authority that signs certificates for clients and servers.
pub(crate) struct Authority {
    pub(crate) certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// Files in the form of PEM.
pub(crate) struct Pem {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// What a server speaks TLS by that asks its clients for nothing.
pub(crate) fn speaking(
    chain: Vec<CertificateDer<'static>>,
    key: impl Into<PrivateKeyDer<'static>>,
    protocols: &[&str],
) -> TlsAcceptor {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    server.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(server))
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn signed(&self, names: &[&str], subject: &[(DnType, &str)]) -> Pem {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        Pem { certificate: made.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn crm(&self) -> Pem {
        let subject = [(DnType::OrganizationName, "Example"), (DnType::CommonName, "crm")];
        self.signed(&["crm.example"], &subject)
    }

    pub(crate) fn file(&self) -> PathBuf {
        file("ca.pem", self.certificate.pem())
    }
}

impl Pem {
    /// Two keys of a configuration.
    pub(crate) fn keys(&self, certificate: &str, key: &str) -> String {
        let (one, other) = (file("cert.pem", &self.certificate), file("key.pem", &self.key));
        format!("{certificate} = \"{}\", {key} = \"{}\"", one.display(), other.display())
    }

    pub(crate) fn identity(&self) -> reqwest::Identity {
        reqwest::Identity::from_pem(format!("{}{}", self.key, self.certificate).as_bytes()).unwrap()
    }
}
