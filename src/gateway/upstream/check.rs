//! Whether an upstream can be set up: all that keeps it from that, in one look.

use super::{SetupError, Upstream, is_secured, open};
use crate::change::secure_pause::SecurePause;
use crate::config::checked;
use crate::config::raw::ContractChoice;
use crate::gateway::tls;
use crate::report::Coverage;

/// Why an upstream's contract, operations and certificates cannot be used, each with its key of
/// `[[upstream]]`; the key is empty where it is not one of them. Opens no port.
#[must_use]
pub fn check(config: &checked::Upstream) -> Vec<(&'static str, SetupError)> {
    let mut faults = unread(config);
    // The rest of what is wrong without its certificates: those are looked at one by one.
    let mut rest = checked::Upstream { ca_file: None, identity: None, ..config.clone() };
    let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    while faults.is_empty() || matches!(faults.last(), Some(SetupError::Operation { .. })) {
        let made =
            Upstream::new(rest.clone(), Some(anywhere), SecurePause::WATCH, &Coverage::default());
        let Err(fault) = made else { break };
        if let SetupError::Operation { operation, .. } = &fault {
            rest.overrides.retain(|it| it.operation != *operation);
        }
        faults.push(fault);
    }
    let mut faults: Vec<_> = faults.into_iter().map(|it| (it.key(), it)).collect();
    if is_secured(config) {
        let identity = config.identity.as_ref().map(|(it, key)| (&**it, &**key));
        let certificates = tls::check_client(config.ca_file.as_deref(), identity);
        faults.extend(certificates.into_iter().map(|(key, fault)| (key, fault.into())));
    }
    faults
}

/// The files of a contract that cannot be read.
fn unread(config: &checked::Upstream) -> Vec<SetupError> {
    let ContractChoice::Files(files) = &config.contract else { return Vec::new() };
    let overlays = files.overlays.iter().map(|it| &it.file);
    let all = files.document.iter().chain(&files.documents).chain(overlays);
    let all = all.chain(files.uris.values());
    all.filter_map(|file| open(config, file).err()).collect()
}
