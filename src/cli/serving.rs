//! What every replica of an aggregator serves with: certificate, token, addresses, health and metrics.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, anyhow};
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    aggregator::meters::Meters,
    core::plan::{HTTP_PORT, SESSION_PORT},
    io::{
        clock, crypto,
        grpc::serve::{Credentials, ServeError, serve},
        http,
        link::AggregatorEnd,
        runtime, telemetry,
    },
};

/// Sessions that may wait to be taken in.
pub(super) const SESSIONS_MAX: usize = 256;
/// Connections beyond one for each instance: re-dials, probes of a mesh.
const CONNECTIONS_SPARE: usize = 64;
/// How long the loop may stand still before the process counts as dead.
const STALL_MS: i64 = 30_000;

/// Exit code of a process that was told to end before its run: the Job makes another.
pub(super) const LEFT: u8 = 143;

/// How agents are served.
#[derive(Debug, clap::Args)]
pub(super) struct Serving {
    /// Certificate for the agents, PEM
    #[arg(long, value_name = "FILE", default_value = "/weir-run/tls.crt")]
    tls_cert: PathBuf,
    /// Key of the certificate, PEM
    #[arg(long, value_name = "FILE", default_value = "/weir-run/tls.key")]
    tls_key: PathBuf,
    /// File with the token that proves an agent of this run
    #[arg(long, value_name = "FILE", default_value = "/weir-run/token")]
    token_file: PathBuf,
    /// Address for agents
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from(([0, 0, 0, 0], SESSION_PORT)))]
    listen: SocketAddr,
    /// Address for /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from(([0, 0, 0, 0], HTTP_PORT)))]
    http_listen: SocketAddr,
}

/// The server of sessions at work.
pub(super) type Server = JoinHandle<Result<(), ServeError>>;

impl Serving {
    /// Serves until `process` is cancelled: sessions of so many instances, and what the probes and Prometheus ask for.
    pub(super) async fn start(
        &self,
        instances: u32,
        meters: &Arc<Meters>,
        process: &CancellationToken,
    ) -> anyhow::Result<(Server, mpsc::Receiver<AggregatorEnd>)> {
        let credentials = self.credentials()?;
        let http = http::bind(self.http_listen)
            .await
            .with_context(|| format!("--http-listen: bind {}", self.http_listen))?;
        tokio::spawn(http::serve(http, endpoints(meters), process.clone()));
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("--listen: bind {}", self.listen))?;
        let (sessions_tx, sessions) = mpsc::channel(SESSIONS_MAX);
        let places = usize::try_from(instances).unwrap_or(0) * 2 + CONNECTIONS_SPARE;
        let server =
            tokio::spawn(serve(listener, credentials, places, sessions_tx, process.clone()));
        Ok((server, sessions))
    }

    /// The run's token.
    pub(super) fn token(&self) -> anyhow::Result<String> {
        Ok(read("--token-file", &self.token_file)?.trim().to_owned())
    }

    fn credentials(&self) -> anyhow::Result<Credentials> {
        Ok(Credentials {
            cert_pem: read("--tls-cert", &self.tls_cert)?,
            key_pem: read("--tls-key", &self.tls_key)?,
            token: self.token()?,
        })
    }
}

/// Runs a replica to its end: its exit code.
pub(super) fn run(
    replica: impl Future<Output = anyhow::Result<u8>> + Send + 'static,
) -> anyhow::Result<u8> {
    telemetry::init();
    crypto::install();
    let runtime = runtime::of_replica().context("start the runtime")?;
    runtime.block_on(async { tokio::spawn(replica).await.context("it broke off")? })
}

/// What a server that has ended leaves to say.
pub(super) fn broken(
    ended: Result<Result<(), ServeError>, tokio::task::JoinError>,
) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow!("the session server ended"),
        Ok(Err(error)) => anyhow::Error::new(error).context("serve sessions"),
        Err(error) => anyhow::Error::new(error).context("serve sessions"),
    }
}

/// The text of a file that a flag names.
pub(super) fn read(flag: &str, path: &PathBuf) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{flag}: read {}", path.display()))
}

fn endpoints(meters: &Arc<Meters>) -> http::Endpoints {
    let mut registry = Registry::default();
    meters.register(&mut registry);
    let (live, ready) = (meters.clone(), meters.clone());
    http::Endpoints {
        registry: Arc::new(registry),
        live: Arc::new(move || {
            let beat_ms = live.beat_unix_ms();
            beat_ms == 0 || clock::unix_ms() - beat_ms < STALL_MS
        }),
        ready: Arc::new(move || ready.beat_unix_ms() > 0),
    }
}
