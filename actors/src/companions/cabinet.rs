//! The folder that documents are kept in.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};
use url::Url;

/// A document could not be kept.
#[derive(Debug, thiserror::Error)]
#[error(
    "documents cannot be kept in folder {folder:?}; make it writable, or set companions.folder to another one"
)]
pub(super) struct CabinetError {
    folder: PathBuf,
    source: io::Error,
}

/// Keeps `bytes` as the file `name` in `folder`, which is made if it is missing, and returns its address.
///
/// The file is there in full or not at all, whatever is interrupted, and stays after a power cut.
/// One of the same name is replaced.
///
/// # Errors
///
/// Fails if the folder cannot be made or written to.
pub(super) fn keep(folder: &Path, name: &str, bytes: &[u8]) -> Result<Url, CabinetError> {
    replace(folder, name, bytes).map_err(|source| CabinetError { folder: folder.to_owned(), source })
}

fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<Url> {
    let folder = std::path::absolute(folder)?;
    fs::create_dir_all(&folder)?;
    let mut file = unnamed(&folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    let path = folder.join(name);
    file.persist(&path)?;
    sync_names(&folder)?;
    // An absolute path always has an address.
    Url::from_file_path(&path).map_err(|()| io::Error::from(io::ErrorKind::InvalidFilename))
}

/// Opens a file that goes away unless it is given its name.
fn unnamed(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(".unfinished-");
    // Whoever the account's umask lets read what it writes shall read documents too.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Makes the name of a file as lasting as the file.
#[cfg(unix)]
fn sync_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Nothing to do: here a folder cannot be opened, and a rename is lasting by itself.
#[cfg(not(unix))]
fn sync_names(_folder: &Path) -> io::Result<()> {
    Ok(())
}
