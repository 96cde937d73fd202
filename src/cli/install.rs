//! `weir install`.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use anyhow::Context;

/// Arguments of `weir install`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the copy of this executable is written, mode 755
    path: PathBuf,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let own = std::env::current_exe().context("find this executable")?;
        let path = self.path.display();
        // The kernel copies the bytes; nothing passes through this process.
        fs::copy(&own, &self.path).with_context(|| format!("copy {} to {path}", own.display()))?;
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("make {path} executable"))?;
        Ok(0)
    }
}
