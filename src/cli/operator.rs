//! `weir operator`.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use kube::{Client, Config};

use crate::{
    core::plan::HTTP_PORT,
    io::{shutdown, telemetry},
    operator::serve::{Settings, serve},
};

/// Arguments of `weir operator`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Weir's own image, for init containers of runners and for aggregators
    #[arg(long, env = "WEIR_IMAGE", value_name = "IMAGE")]
    image: String,
    /// Namespaces to watch, separated by commas; all when empty
    #[arg(long, env = "WEIR_NAMESPACES", value_delimiter = ',', value_name = "NAMES")]
    namespaces: Vec<String>,
    /// Namespace of the Lease; the client's own by default
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    lease_namespace: Option<String>,
    /// Name of the Lease, one for each installation
    #[arg(long, default_value = "weir-operator", value_name = "NAME")]
    lease_name: String,
    /// Name of this replica; must be its own
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,
    /// Address of /livez, /readyz and /metrics
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, HTTP_PORT)), value_name = "ADDRESS")]
    listen: SocketAddr,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        telemetry::init();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            // Waiting is its work; two can decode a watch while one talks to probes.
            .worker_threads(2)
            .enable_all()
            .build()
            .context("start the runtime")?;
        runtime.block_on(self.serve())?;
        Ok(0)
    }

    async fn serve(self) -> anyhow::Result<()> {
        let stop = shutdown::on_signal().context("install signal handlers")?;
        let config = Config::infer().await.context("find the cluster")?;
        let own_namespace = config.default_namespace.clone();
        let client = Client::try_from(config).context("make a client of the cluster")?;
        let settings = Settings {
            image: self.image,
            namespaces: self
                .namespaces
                .into_iter()
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
            lease_namespace: self.lease_namespace.unwrap_or(own_namespace),
            lease_name: self.lease_name,
            identity: self.identity.unwrap_or_else(|| {
                format!("weir-{}-{}", std::process::id(), crate::io::clock::unix_ms())
            }),
            listen: self.listen,
        };
        tracing::info!(image = settings.image, namespaces = ?settings.namespaces, identity = settings.identity, "operator starts");
        serve(client, settings, stop).await.context("run the operator")?;
        tracing::info!("operator has ended");
        Ok(())
    }
}
