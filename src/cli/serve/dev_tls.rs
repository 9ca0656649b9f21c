//! `recgate serve --dev-tls`: a certificate for this machine alone, to try TLS with.
//!
//! An authority is made, it signs one certificate for `localhost`, `127.0.0.1` and `::1`, and its
//! key is thrown away: nothing can be signed by it again, and it could have vouched for nothing
//! else (name constraints, RFC 5280 §4.2.1.10). So it does little harm to trust it. Certificate and
//! key stay in a directory and are used again until [`RENEW_DAYS`] before their end. Only for a
//! listener on a loopback address: elsewhere a certificate is a matter for its operator.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};

use crate::cli::Exit;
use crate::config::Config;
use crate::config::raw::Tls;

/// How long a certificate holds.
const DAYS: i64 = 365;
/// How long before its end another is made.
const RENEW_DAYS: i64 = 30;

/// Certificate, key and authority in a directory.
#[derive(Clone, Debug)]
pub(super) struct DevTls {
    directory: PathBuf,
}

// === impl DevTls ===

impl DevTls {
    /// Those of a directory, which may not be there yet.
    pub(super) fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Makes what is not there, or too old.
    pub(super) fn make_if_needed(&self) -> Result<(), Exit> {
        if !self.holds() {
            self.make().with_context(|| format!("--dev-tls: {}", self.directory.display()))?;
        }
        Ok(())
    }

    /// Lets a configuration use them.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), Exit> {
        let unusable = |why: String| Err(Exit::Unusable(format!("--dev-tls: {why}")));
        if !config.gateway.listen.ip().is_loopback() {
            return unusable(format!(
                "gateway.listen is {}, and its certificate is for loopback addresses only",
                config.gateway.listen
            ));
        }
        if config.gateway.tls.is_some() {
            return unusable("gateway.tls names a certificate already".to_owned());
        }
        config.gateway.tls = Some(Tls {
            certificate: self.file("cert.pem"),
            key: self.file("key.pem"),
            client_ca: None,
            client_certificates: None,
        });
        Ok(())
    }

    /// The authority that clients have to trust.
    pub(super) fn authority(&self) -> PathBuf {
        self.file("ca.pem")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Whether all is there and holds for some time.
    fn holds(&self) -> bool {
        let today = jiff::Zoned::now().date();
        let last = || {
            let leaf = CertificateDer::from_pem_file(self.file("cert.pem")).ok()?;
            let (_, leaf) = X509Certificate::from_der(&leaf).ok()?;
            let authority = CertificateDer::from_pem_file(self.authority()).ok()?;
            let (_, authority) = X509Certificate::from_der(&authority).ok()?;
            let issued = issuer_key(&leaf)? == own_key(&authority)?;
            let end = jiff::Timestamp::from_second(leaf.validity().not_after.timestamp()).ok()?;
            issued.then(|| end.to_zoned(jiff::tz::TimeZone::UTC).date())
        };
        let enough = last().zip(today.checked_add(jiff::Span::new().days(RENEW_DAYS)).ok());
        enough.is_some_and(|(last, wanted)| last > wanted) && self.file("key.pem").is_file()
    }

    fn make(&self) -> anyhow::Result<()> {
        let today = jiff::Zoned::now().date();
        let day = |days: i64| today.checked_add(jiff::Span::new().days(days));
        let (from, until) = (day(-1)?, day(DAYS)?);

        let mut authority = CertificateParams::default();
        let name = format!("recgate for this machine, {today}");
        authority.distinguished_name.push(DnType::CommonName, name);
        holds(&mut authority, from, until);
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        authority.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![
                GeneralSubtree::DnsName("localhost".to_owned()),
                GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8)),
                GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(
                    std::net::Ipv6Addr::LOCALHOST.octets(),
                    128,
                )),
            ],
            excluded_subtrees: Vec::new(),
        });
        let authority_key = KeyPair::generate()?;
        let made = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);

        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        let mut leaf = CertificateParams::new(names)?;
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        holds(&mut leaf, from, until);
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = leaf.signed_by(&key, &issuer)?;

        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        write(&self.file("key.pem"), &key.serialize_pem())?;
        write(&self.file("cert.pem"), &certificate.pem())?;
        write(&self.authority(), &made.pem())?;
        Ok(())
    }
}

/// The key that a certificate is signed by, as its extension names it (RFC 5280 §4.2.1.1).
fn issuer_key<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(it) => it.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    })
}

/// The key of a certificate, as its extension names it (RFC 5280 §4.2.1.2).
fn own_key<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(it) => Some(it.0),
        _ => None,
    })
}

fn holds(certificate: &mut CertificateParams, from: Date, until: Date) {
    let part = |value: i8| u8::try_from(value).unwrap_or(1);
    let moment = |it: Date| date_time_ymd(it.year().into(), part(it.month()), part(it.day()));
    certificate.not_before = moment(from);
    certificate.not_after = moment(until);
}

/// A file that only its owner reads, in place of any other.
fn write(path: &Path, text: &str) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
