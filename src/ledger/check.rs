//! What is known of a ledger before it is opened, and without a file being written: for whoever asks
//! whether a configuration can be used.
//!
//! The system is asked whether this process may write ([`access`]): that counts permissions and a
//! file system that is read-only. A disk that is full, a quota, another gateway that has the ledger,
//! or a database that does not answer are seen when it is opened.

use std::io;
use std::path::{Path, PathBuf, absolute};

use rustix::fs::{Access, access};

use super::key::KeyError;
use super::settings::{KeySource, Place, Settings};
use super::store::{StoreError, postgres};

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its password.
    #[error(transparent)]
    Password(StoreError),
    /// The folder of its file.
    #[error("the folder {} is not there: make it, or name another; recgate makes none", shown(.0))]
    NoFolder(PathBuf),
    /// What is named as the folder of its file.
    #[error("{} is no folder, and the ledger's file is to be in it: name another", shown(.0))]
    Blocked(PathBuf),
    /// The file itself.
    #[error(
        "{} is a folder: name a file in it, such as sqlite:{}",
        shown(.0),
        .0.join("recgate-ledger.db").display()
    )]
    Folder(PathBuf),
    /// What this process may not write to, or not even look at.
    #[error("this user may not write to {} ({error}), as recgate has to: {help}", shown(path))]
    Refused {
        /// The folder or the file.
        path: PathBuf,
        /// Why.
        error: io::Error,
        /// What to do.
        help: &'static str,
    },
}

/// What is wrong with a ledger's settings, each with its key of `[ledger]`.
#[must_use]
pub fn check(settings: &Settings) -> Vec<(&'static str, CheckError)> {
    let mut faults = Vec::new();
    match &settings.place {
        Place::Memory => {}
        Place::Sqlite(path) => faults.extend(file(path).err().map(|error| ("url", error))),
        Place::Postgres { password, .. } => {
            let missing = password.as_deref().and_then(|it| postgres::password(it).err());
            faults.extend(missing.map(|error| ("password_env", CheckError::Password(error))));
        }
    }
    // A key beside a ledger that cannot be there is no fault of its own.
    if faults.is_empty() || settings.key != KeySource::Beside {
        let key = match settings.key {
            KeySource::Variable(_) => "key_env",
            KeySource::File(_) | KeySource::Beside => "key_file",
        };
        faults.extend(settings.check_key().err().map(|error| (key, error.into())));
    }
    faults
}

/// Whether the file of a SQLite ledger is there or can be made.
fn file(path: &Path) -> Result<(), CheckError> {
    // What ends as a folder does would have its key and its lock in that folder.
    let ends_as_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    if ends_as_folder || path.is_dir() {
        return Err(CheckError::Folder(path.to_owned()));
    }
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match folder.metadata() {
        Ok(data) if !data.is_dir() => return Err(CheckError::Blocked(folder.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CheckError::NoFolder(folder.to_owned()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(CheckError::Blocked(folder.to_owned()));
        }
        Ok(_) | Err(_) => {}
    }
    // SQLite makes files beside a ledger that is there, too.
    let help = "let it, or name another folder";
    may(folder, Access::WRITE_OK | Access::EXEC_OK, help)?;
    if path.exists() {
        may(path, Access::READ_OK | Access::WRITE_OK, "let it, or name another file")?;
    }
    Ok(())
}

fn may(path: &Path, what: Access, help: &'static str) -> Result<(), CheckError> {
    access(path, what).map_err(|error| CheckError::Refused {
        path: path.to_owned(),
        error: error.into(),
        help,
    })
}

/// A path as it is meant: a relative one counts from the working directory, which is another for
/// whoever starts recgate elsewhere.
fn shown(path: &Path) -> String {
    let whole = absolute(path).unwrap_or_else(|_| path.to_owned());
    if path.is_absolute() {
        return whole.display().to_string();
    }
    format!("{} ({}, counted from the working directory)", whole.display(), path.display())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    use super::{CheckError, check, file};
    use crate::ledger::settings::{KeySource, Place, Settings};

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("recgate-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn told(path: &Path) -> String {
        file(path).unwrap_err().to_string()
    }

    #[test]
    fn a_file_that_can_be_made_is_no_fault_and_is_not_made() {
        let folder = folder();
        assert!(file(&folder.join("l.db")).is_ok());
        assert!(file(Path::new("recgate-ledger.db")).is_ok(), "in the working directory");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_a_ledgers_file_is_told_with_what_to_do() {
        let folder = folder();
        let text = folder.display();
        let gone = told(&folder.join("none/l.db"));
        assert_eq!(
            gone,
            format!(
                "the folder {text}/none is not there: make it, or name another; recgate makes none"
            )
        );
        fs::write(folder.join("plain"), "").unwrap();
        for below in ["plain/l.db", "plain/below/l.db"] {
            let blocked = told(&folder.join(below));
            assert!(
                blocked.contains("is no folder, and the ledger's file is to be in it"),
                "{blocked}"
            );
        }
        for itself in [folder.clone(), folder.join("new/")] {
            let told = told(&itself);
            let name = itself.join("recgate-ledger.db");
            let wanted =
                format!("is a folder: name a file in it, such as sqlite:{}", name.display());
            assert!(told.ends_with(&wanted), "{told}");
        }
        // What is relative is said as what it means here, and as it was written.
        let relative = told(Path::new("no/such/l.db"));
        let here = std::env::current_dir().unwrap().join("no/such");
        let told = format!(
            "the folder {} (no/such, counted from the working directory) is not",
            here.display()
        );
        assert!(relative.starts_with(&told), "{relative}");
        fs::remove_dir_all(folder).unwrap();
    }

    /// For root every folder may be written to, so it is tried out who this is.
    #[test]
    fn what_may_not_be_written_to_is_told_as_trying_would() {
        let folder = folder();
        let ledger = folder.join("l.db");
        fs::write(&ledger, "").unwrap();
        for path in [&ledger, &folder] {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            fs::set_permissions(path, fs::Permissions::from_mode(mode & !0o222)).unwrap();
            let tried = if path.is_dir() {
                fs::write(folder.join("tried"), "")
            } else {
                fs::OpenOptions::new().append(true).open(path).map(drop)
            };
            match (tried, file(&ledger)) {
                (Ok(()), Ok(())) => {}
                (Err(_), Err(CheckError::Refused { path: at, .. })) => assert_eq!(at, *path),
                other => panic!("{other:?}"),
            }
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_a_ledger_lacks_is_told_by_its_key() {
        let keys = |settings: &Settings| -> Vec<&'static str> {
            check(settings).into_iter().map(|(key, _)| key).collect()
        };
        assert!(keys(&Settings::memory()).is_empty());
        // A folder has no key beside it, and needs none.
        let place = Place::Sqlite(std::env::temp_dir());
        assert_eq!(keys(&Settings { place: place.clone(), ..Settings::memory() }), ["url"]);
        let key = KeySource::File(PathBuf::from("/none/key"));
        assert_eq!(keys(&Settings { place, key, ..Settings::memory() }), ["url", "key_file"]);
        let password = Some("NOBODY_SET_THIS".to_owned());
        let place = Place::Postgres { url: "postgres://me@db/recgate".to_owned(), password };
        let key = KeySource::Variable("NOBODY_SET_THIS".to_owned());
        let shared = Settings { place, key, ..Settings::memory() };
        assert_eq!(keys(&shared), ["password_env", "key_env"]);
    }
}
