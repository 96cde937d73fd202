//! What `k6 archive` makes: a tar of `metadata.json`, the main script under the name `data`, and all files that the
//! script needs, below `file/` and `https/`.

use std::io::Read;

use serde::Deserialize;
use serde_json::value::RawValue;
use tar::{Archive, Entry, EntryType};

/// Name of the entry that describes the rest.
pub(super) const METADATA: &str = "metadata.json";
/// Name of the entry that holds the main script.
pub(super) const MAIN: &str = "data";

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// No tar, or a broken one.
    #[error("the archive cannot be read")]
    Tar(#[from] std::io::Error),
    /// A part that every archive of k6 has is not there.
    #[error("the archive holds no {0}")]
    Missing(&'static str),
    /// Its description is none of k6's.
    #[error("the archive's metadata cannot be read")]
    Metadata(#[from] serde_json::Error),
    /// The main script is of a kind that no module can import.
    #[error("the archive's main script has the address {0:?}")]
    Address(String),
}

#[derive(Deserialize)]
struct Metadata {
    options: Box<RawValue>,
}

/// The script's options as the archive holds them: those of the script, of the environment and of the arguments with
/// which it was made.
pub fn options(archive: &[u8]) -> Result<Box<RawValue>, ArchiveError> {
    let metadata: Metadata = serde_json::from_slice(&content(archive, METADATA)?)?;
    Ok(metadata.options)
}

/// Text of the main script.
pub fn script(archive: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    content(archive, MAIN)
}

/// What the entry of this name holds.
pub(super) fn content(archive: &[u8], name: &'static str) -> Result<Vec<u8>, ArchiveError> {
    for entry in Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type() == EntryType::Regular && is_named(&entry, name) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            return Ok(content);
        }
    }
    Err(ArchiveError::Missing(name))
}

/// Whether an entry has this name.
pub(super) fn is_named(entry: &Entry<'_, &[u8]>, name: &str) -> bool {
    entry.path_bytes().as_ref() == name.as_bytes()
}

/// Whether an entry is the main script among the other files: there it is but a link.
pub(super) fn is_main(entry: &Entry<'_, &[u8]>) -> bool {
    entry.header().entry_type() == EntryType::Link
        && entry.link_name_bytes().is_some_and(|link| link.as_ref() == MAIN.as_bytes())
}
