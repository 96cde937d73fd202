//! The bundle: the script with all that it reads, as k6 archives it. Made once, by instance 1, and run by all, so that
//! n instances run one test. It travels in parts, each asked for when there is room for it.

use std::io::{self, Read};

use prost::bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use crate::wire::session::BundlePart;

/// Largest bundle, in bytes: every instance and the aggregator hold one.
pub const BUNDLE_BYTES_MAX: usize = 64 << 20;
/// Bytes in one part: a quarter of the largest message.
const PART_BYTES: usize = 1 << 20;
/// Longest options that are taken, in bytes.
const OPTIONS_BYTES_MAX: usize = 2 << 20;

/// A whole bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The archive.
    pub bytes: Bytes,
    /// Its digest.
    pub sha256: Bytes,
    /// What `k6 inspect --execution-requirements` prints of it.
    pub options: Bytes,
}

/// Why parts do not make a bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Larger than Weir takes.
    #[error(
        "the script and the files it reads make an archive of {0} bytes, but {BUNDLE_BYTES_MAX} is the most; \
         put large files into the image or a volume and read them with k6/experimental/fs or over HTTP"
    )]
    TooLarge(u64),
    /// The parts do not belong together, or were changed on their way.
    #[error("the bundle arrived damaged: {0}")]
    Damaged(&'static str),
}

impl Bundle {
    /// The bundle of an archive.
    ///
    /// # Errors
    /// When it is too large.
    pub fn new(bytes: Vec<u8>, options: Vec<u8>) -> Result<Self, BundleError> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLarge(bytes.len() as u64));
        }
        let sha256 = Bytes::copy_from_slice(&Sha256::digest(&bytes));
        Ok(Self { bytes: bytes.into(), sha256, options: options.into() })
    }

    /// The part at `offset`; an empty one past the end.
    pub fn part(&self, offset: u64) -> BundlePart {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let end = start.saturating_add(PART_BYTES).min(self.bytes.len());
        BundlePart {
            sha256: self.sha256.clone(),
            size: self.bytes.len() as u64,
            offset,
            data: self.bytes.slice(start..end),
            options: if start == 0 { self.options.clone() } else { Bytes::new() },
        }
    }
}

/// What a part led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The part at this offset is wanted next.
    Want(u64),
    /// All is there.
    Whole(Bundle),
}

/// Parts on their way to being a bundle.
#[derive(Clone, Debug, Default)]
pub struct Assembly {
    sha256: Bytes,
    options: Bytes,
    data: BytesMut,
}

impl Assembly {
    /// The offset of the part that is wanted next.
    pub fn wanted(&self) -> u64 {
        self.data.len() as u64
    }

    /// Takes a part. One that is not the wanted one changes nothing; the first of another bundle begins anew.
    ///
    /// # Errors
    /// When no bundle can come of it.
    pub fn take(&mut self, part: &BundlePart) -> Result<Progress, BundleError> {
        if part.size > BUNDLE_BYTES_MAX as u64 {
            return Err(BundleError::TooLarge(part.size));
        }
        if part.options.len() > OPTIONS_BYTES_MAX {
            return Err(BundleError::Damaged("its options are too long"));
        }
        if part.offset == 0 {
            *self = Self {
                sha256: part.sha256.clone(),
                options: part.options.clone(),
                data: BytesMut::new(),
            };
        }
        if part.offset != self.wanted() || part.sha256 != self.sha256 {
            return Ok(Progress::Want(self.wanted()));
        }
        let size = self.wanted() + part.data.len() as u64;
        if size > part.size || (part.data.is_empty() && size < part.size) {
            return Err(BundleError::Damaged("its parts do not fit"));
        }
        self.data.extend_from_slice(&part.data);
        if size < part.size {
            return Ok(Progress::Want(size));
        }
        let whole = std::mem::take(self);
        if Sha256::digest(&whole.data)[..] != whole.sha256[..] {
            return Err(BundleError::Damaged("its digest is another"));
        }
        let bytes = whole.data.freeze();
        Ok(Progress::Whole(Bundle { bytes, sha256: whole.sha256, options: whole.options }))
    }
}

/// The same archive without the times at which its files were written, so that one script makes one bundle.
///
/// # Errors
/// When it is no archive.
pub fn timeless(archive: &[u8]) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::with_capacity(archive.len()));
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let mut header = entry.header().clone();
        header.set_mtime(0);
        let path = entry.path()?.into_owned();
        if let Some(link) = entry.link_name()?.map(std::borrow::Cow::into_owned) {
            builder.append_link(&mut header, path, link)?;
            continue;
        }
        let mut data = Vec::new();
        entry.read_to_end(&mut data)?;
        header.set_size(data.len() as u64);
        builder.append_data(&mut header, path, data.as_slice())?;
    }
    builder.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(size: usize) -> Bundle {
        let bytes = (0..=250_u8).cycle().take(size).collect();
        Bundle::new(bytes, b"{}".to_vec()).unwrap()
    }

    #[test]
    fn a_bundle_comes_together_from_its_parts_whatever_is_repeated() {
        for size in [0, 1, PART_BYTES, 3 * PART_BYTES + 7] {
            let bundle = bundle(size);
            let mut assembly = Assembly::default();
            let mut offset = 0;
            let whole = loop {
                let part = bundle.part(offset);
                if offset > 0 {
                    let stale = bundle.part(offset - 1);
                    assert_eq!(assembly.take(&stale), Ok(Progress::Want(offset)));
                }
                match assembly.take(&part).unwrap() {
                    Progress::Want(next) => offset = next,
                    Progress::Whole(whole) => break whole,
                }
            };
            assert_eq!(whole, bundle);
        }
    }

    #[test]
    fn another_bundle_begins_anew() {
        let (old, new) = (bundle(2 * PART_BYTES), bundle(PART_BYTES + 1));
        let mut assembly = Assembly::default();
        assembly.take(&old.part(0)).unwrap();
        let later = new.part(PART_BYTES as u64);
        assert_eq!(assembly.take(&later), Ok(Progress::Want(PART_BYTES as u64)));
        assembly.take(&new.part(0)).unwrap();
        assert_eq!(assembly.take(&later), Ok(Progress::Whole(new)));
    }

    #[test]
    fn what_was_changed_or_is_too_large_is_refused() {
        let bundle = bundle(10);
        let changed = BundlePart { data: Bytes::from_static(b"0123456789"), ..bundle.part(0) };
        assert!(matches!(Assembly::default().take(&changed), Err(BundleError::Damaged(_))));
        let large = BundlePart { size: u64::MAX, ..bundle.part(0) };
        assert!(matches!(Assembly::default().take(&large), Err(BundleError::TooLarge(_))));
        let short = BundlePart { data: Bytes::new(), ..bundle.part(0) };
        assert!(matches!(Assembly::default().take(&short), Err(BundleError::Damaged(_))));
        let long = BundlePart { size: 5, ..bundle.part(0) };
        assert!(matches!(Assembly::default().take(&long), Err(BundleError::Damaged(_))));
    }

    #[test]
    fn the_time_of_a_file_makes_no_other_bundle() {
        let archive = |mtime| {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_ustar();
            header.set_size(3);
            header.set_mode(0o644);
            header.set_mtime(mtime);
            builder.append_data(&mut header, "a/b.js", &b"abc"[..]).unwrap();
            let mut link = tar::Header::new_ustar();
            link.set_entry_type(tar::EntryType::Link);
            link.set_size(0);
            link.set_mtime(mtime);
            builder.append_link(&mut link, "c.js", "a/b.js").unwrap();
            builder.into_inner().unwrap()
        };
        assert_ne!(archive(1), archive(2));
        let timeless = timeless(&archive(1)).unwrap();
        assert_eq!(timeless, super::timeless(&archive(2)).unwrap());
        let names: Vec<_> = tar::Archive::new(timeless.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().into_owned())
            .collect();
        assert_eq!(names, [std::path::Path::new("a/b.js"), std::path::Path::new("c.js")]);
        assert!(super::timeless(b"no archive at all, but long enough to be read").is_err());
    }
}
