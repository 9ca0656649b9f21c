//! What a client's certificate says of whose it is.
//!
//! Only a certificate that the handshake verified comes here: rustls hands out none that an
//! authority of `gateway.tls.client_ca` does not vouch for. The subject is written as RFC 4514 has
//! it, the last relative name first, and compared as text, byte for byte; `config check` refuses
//! a subject that could not have been written so. Alternative names count as they stand, without
//! wildcards.

use std::fmt::Write as _;

use rustls_pki_types::CertificateDer;
use x509_parser::asn1_rs::ToDer as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::config::checked::Says;
use crate::hook::trigger::verify::Certified;

/// The attribute types that are written by a name: those of RFC 4514 §3 and the registered ones
/// that certificates hold often. Any other is written by its number, and its value in hex.
const NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "street"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "GN"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// What a verified certificate says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Certificate {
    subject: String,
    dns: Vec<String>,
    uris: Vec<String>,
}

// === impl Certificate ===

impl Certificate {
    /// Reads a leaf that was verified; `None` where it cannot be read here, and so says nothing.
    pub(crate) fn of(leaf: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
        let mut said = Self { subject: subject(certificate.subject()), ..Self::default() };
        if let Ok(Some(names)) = certificate.subject_alternative_name() {
            for name in &names.value.general_names {
                match name {
                    GeneralName::DNSName(name) => said.dns.push(name.to_ascii_lowercase()),
                    GeneralName::URI(uri) => said.uris.push((*uri).to_owned()),
                    _ => {}
                }
            }
        }
        Some(said)
    }
}

impl Certified for Certificate {
    fn says(&self, what: &Says) -> bool {
        match what {
            Says::Subject(wanted) => !self.subject.is_empty() && self.subject == *wanted,
            Says::Dns(wanted) => self.dns.contains(wanted),
            Says::Uri(wanted) => self.uris.contains(wanted),
        }
    }
}

/// A name as RFC 4514 §2 writes it.
fn subject(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let known = NAMES.iter().find(|(number, _)| *number == oid);
    if let (Some((_, name)), Ok(value)) = (known, attribute.as_str()) {
        return format!("{name}={}", escaped(value));
    }
    let der = attribute.attr_value().to_der_vec().unwrap_or_default();
    let mut text = format!("{oid}=#");
    for byte in der {
        let _ = write!(text, "{byte:02X}");
    }
    text
}

/// A value with what has a meaning escaped (RFC 4514 §2.4).
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, character) in value.chars().enumerate() {
        match character {
            '\0' => text.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', character]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            _ => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
    use rstest::rstest;

    use super::Certificate;
    use crate::config::checked::Says;
    use crate::hook::trigger::verify::Certified;

    fn certificate(name: &[(DnType, &str)], also: Vec<SanType>) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in name {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.subject_alt_names = also;
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::of(made.der()).unwrap()
    }

    #[rstest]
    #[case::order(&[(DnType::CountryName, "IE"), (DnType::OrganizationName, "Example"), (DnType::CommonName, "crm")], "CN=crm,O=Example,C=IE")]
    #[case::escapes(&[(DnType::CommonName, "#a, b+c\\d=<e> \"f\";")], "CN=\\#a\\, b\\+c\\\\d=\\<e\\> \\\"f\\\"\\;")]
    #[case::spaces(&[(DnType::CommonName, " crm ")], "CN=\\ crm\\ ")]
    #[case::not_ascii(&[(DnType::OrganizationName, "Bücher & Söhne")], "O=Bücher & Söhne")]
    #[case::by_number(&[(DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99]), "x")], "1.3.6.1.4.1.99=#0C0178")]
    fn a_subject_is_written_as_the_rfc_has_it(
        #[case] name: &[(DnType, &str)],
        #[case] wanted: &str,
    ) {
        let certificate = certificate(name, Vec::new());
        assert_eq!(certificate.subject, wanted);
        assert!(certificate.says(&Says::Subject(wanted.to_owned())));
        assert!(!certificate.says(&Says::Subject(String::new())));
    }

    #[test]
    fn alternative_names_count_as_they_stand() {
        let names = vec![
            SanType::DnsName("CRM.example".try_into().unwrap()),
            SanType::DnsName("*.pool.example".try_into().unwrap()),
            SanType::URI("spiffe://example/crm".try_into().unwrap()),
        ];
        let certificate = certificate(&[], names);
        assert!(certificate.says(&Says::Dns("crm.example".to_owned())));
        assert!(!certificate.says(&Says::Dns("a.pool.example".to_owned())));
        assert!(certificate.says(&Says::Uri("spiffe://example/crm".to_owned())));
        assert!(!certificate.says(&Says::Uri("spiffe://example".to_owned())));
        assert!(!certificate.says(&Says::Subject(String::new())), "no subject says nothing");
    }
}
