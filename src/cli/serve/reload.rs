//! When a gateway that serves reads its files again.
//!
//! SIGHUP reads everything: configuration, contracts, certificates. Certificates are read again by
//! themselves when a file of theirs has changed, and with `gateway.reload = "change"` everything is
//! when the configuration or a contract's file has. A file counts as changed once it has stood
//! still for a round of looking ([`EVERY`]), so that one that is being written is not read half, and
//! a certificate not without its key. What cannot be used is told, with its place, and everything
//! stays as it was.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;

use crate::cli::{Exit, Settings};
use crate::config::Config;
use crate::config::raw::{ContractChoice, Reload};
use crate::gateway::deliver::Others;
use crate::gateway::metrics::{Metrics, Reloaded, Reread};
use crate::gateway::reload::{Control, ReloadError, Renewed};

use super::dev_tls::DevTls;

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// What a reload begins with, and whom it tells.
pub(super) struct Reloading {
    pub(super) settings: Settings,
    pub(super) dev_tls: Option<DevTls>,
    pub(super) control: Control,
    pub(super) others: Others,
    pub(super) metrics: Arc<Metrics>,
}

/// Files, as they were when they were last read.
#[derive(Default)]
struct Files {
    read: Stamps,
    /// As they were when they were last looked at.
    seen: Stamps,
}

/// Where a file is and what tells it from its next version: its length, its last change, its inode.
type Stamps = Vec<(PathBuf, Option<(u64, i64, i64, u64)>)>;

// === impl Reloading ===

impl Reloading {
    /// Reads again whenever it is time, until it is dropped.
    pub(super) async fn watch(self, mut hangups: Signal) {
        let this = Arc::new(self);
        let mut tick = tokio::time::interval(EVERY);
        let (mut whole, mut certificates) = (Files::default(), Files::default());
        whole.have_been_read(this.files());
        certificates.have_been_read(certificate_files(&this.control.config()));
        loop {
            let what = tokio::select! {
                got = hangups.recv() => {
                    if got.is_none() {
                        return;
                    }
                    Reread::Configuration
                }
                _ = tick.tick() => {
                    let config = this.control.config();
                    let changed = whole.have_changed(this.files());
                    if changed && config.gateway.reload == Reload::Change {
                        Reread::Configuration
                    } else if certificates.have_changed(certificate_files(&config)) {
                        Reread::Certificates
                    } else {
                        continue;
                    }
                }
            };
            // Taken before the reading: what changes meanwhile has changed.
            let before = stamps(this.files());
            let certificates_before = stamps(certificate_files(&this.control.config()));
            let of = Arc::clone(&this);
            if tokio::task::spawn_blocking(move || of.read(what)).await.is_err() {
                tracing::error!("a reload panicked: everything stays as it was");
                this.metrics.reloaded(what, Reloaded::Refused);
            }
            if what == Reread::Configuration {
                whole.were_read(before, this.files());
            }
            certificates.were_read(certificates_before, certificate_files(&this.control.config()));
        }
    }

    fn read(&self, what: Reread) {
        let result = match what {
            Reread::Configuration => self.configuration(),
            Reread::Certificates => match self.certificates() {
                Ok(Renewed::New) => {
                    tracing::info!("certificates were read again");
                    Ok(())
                }
                Ok(Renewed::Same) => return,
                Err(fault) => Err(vec![fault]),
            },
        };
        match result {
            Ok(()) => self.metrics.reloaded(what, Reloaded::Done),
            Err(faults) => {
                for fault in faults {
                    tracing::error!("not reloaded, everything stays as it was: {fault}");
                }
                self.metrics.reloaded(what, Reloaded::Refused);
            }
        }
    }

    fn configuration(&self) -> Result<(), Vec<String>> {
        let told = |exit: Exit| match exit {
            Exit::Config(faults) => faults.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        };
        let mut config = super::load(&self.settings).map_err(told)?;
        if let Some(dev_tls) = &self.dev_tls {
            dev_tls.apply(&mut config).map_err(told)?;
        }
        let connections = config.limits.connections;
        let others = self
            .others
            .read(&config.subscriptions, config.schedule.clone())
            .map_err(|error| told(super::unusable(&self.settings, error.into())))?;
        let reloaded = self.control.reload(config);
        reloaded.map_err(|error| {
            told(match error {
                ReloadError::Pinned(keys) => self.pinned(&keys),
                ReloadError::Unusable(error) => super::unusable(&self.settings, error.into()),
            })
        })?;
        self.others.put(others);
        super::open_files(connections);
        tracing::info!("configuration, contracts and certificates were read again");
        Ok(())
    }

    /// What cannot change, each key with its place.
    fn pinned(&self, keys: &[&str]) -> Exit {
        let layers = match self.settings.layers() {
            Ok(layers) => layers,
            Err(exit) => return exit,
        };
        let fault = |key: &&str| layers.fault(key, "cannot change without a restart");
        Exit::Config(keys.iter().map(fault).collect())
    }

    fn certificates(&self) -> Result<Renewed, String> {
        let config = self.control.config();
        let others = self
            .others
            .read(&config.subscriptions, config.schedule.clone())
            .map_err(|error| error.to_string())?;
        let renewed = self.control.renew().map_err(|error| error.to_string())?;
        Ok(if self.others.put(others) { Renewed::New } else { renewed })
    }

    /// The configuration's own file, and those of its contracts that it names.
    fn files(&self) -> Vec<PathBuf> {
        let config = self.control.config();
        let mut files: Vec<PathBuf> = self.settings.config.iter().cloned().collect();
        for upstream in &config.upstreams {
            if let ContractChoice::Files(contract) = &upstream.contract {
                files.extend(contract.document.iter().chain(&contract.documents).cloned());
                files.extend(contract.overlays.iter().map(|it| it.file.clone()));
                files.extend(contract.uris.values().cloned());
            }
        }
        files
    }
}

/// Every file of a certificate, key or authority.
fn certificate_files(config: &Config) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if let Some(tls) = &config.gateway.tls {
        files.extend([tls.certificate.clone(), tls.key.clone()]);
        files.extend(tls.client_ca.clone());
    }
    for upstream in &config.upstreams {
        files.extend(upstream.ca_file.clone());
        files.extend(upstream.identity.clone().into_iter().flat_map(|(one, other)| [one, other]));
    }
    files.extend(config.subscriptions.iter().filter_map(|it| it.ca_file.clone()));
    files
}

fn stamps(files: Vec<PathBuf>) -> Stamps {
    let stamp = |path: PathBuf| {
        let data = std::fs::metadata(&path).ok();
        let stamp = data.map(|it| (it.len(), it.mtime(), it.mtime_nsec(), it.ino()));
        (path, stamp)
    };
    files.into_iter().map(stamp).collect()
}

// === impl Files ===

impl Files {
    fn have_been_read(&mut self, files: Vec<PathBuf>) {
        self.read = stamps(files);
        self.seen.clone_from(&self.read);
    }

    /// They were read as they were `before`; files that are `named` now and were not then are as
    /// they are.
    fn were_read(&mut self, before: Stamps, named: Vec<PathBuf>) {
        if before.iter().map(|(path, _)| path).eq(&named) {
            self.read = before;
        } else {
            self.have_been_read(named);
        }
    }

    /// Whether they are others than were read, and have stood still since the last look.
    fn have_changed(&mut self, files: Vec<PathBuf>) -> bool {
        let now = stamps(files);
        let changed = now != self.read && now == self.seen;
        if changed {
            self.read.clone_from(&now);
        }
        self.seen = now;
        changed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Files;

    #[test]
    fn a_file_counts_as_changed_once_it_stands_still() {
        let file = std::env::temp_dir().join(format!("recgate-files-{}", std::process::id()));
        std::fs::write(&file, "one").unwrap();
        let mut files = Files::default();
        files.have_been_read(vec![file.clone()]);
        assert!(!files.have_changed(vec![file.clone()]));
        std::fs::write(&file, "half of").unwrap();
        assert!(!files.have_changed(vec![file.clone()]), "it may be half of one");
        std::fs::write(&file, "half of two").unwrap();
        assert!(!files.have_changed(vec![file.clone()]));
        assert!(files.have_changed(vec![file.clone()]));
        assert!(!files.have_changed(vec![file.clone()]), "told once");
        std::fs::remove_file(&file).unwrap();
        assert!(!files.have_changed(vec![file.clone()]));
        assert!(files.have_changed(vec![file]), "that it is gone is a change");
    }
}
