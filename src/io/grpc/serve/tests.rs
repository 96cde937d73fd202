use tokio::io::copy_bidirectional;

use super::*;
use crate::{
    io::{
        crypto,
        link::{DialError, Dialer, GrpcDialer},
    },
    wire::session::{Goodbye, Hello, ToAgent, to_agent, to_aggregator},
};

struct World {
    address: SocketAddr,
    ca_pem: String,
    sessions: mpsc::Receiver<AggregatorEnd>,
    stop: CancellationToken,
}

async fn world(connections_max: usize) -> World {
    crypto::install();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sessions_tx, sessions) = mpsc::channel(4);
    let stop = CancellationToken::new();
    let credentials = Credentials {
        cert_pem: made.cert.pem(),
        key_pem: made.signing_key.serialize_pem(),
        token: "secret".to_owned(),
    };
    tokio::spawn(serve(listener, credentials, connections_max, sessions_tx, stop.clone()));
    World { address, ca_pem: made.cert.pem(), sessions, stop }
}

impl World {
    fn dialer(&self, port: u16, token: &str) -> Dialer {
        Dialer::Grpc(Arc::new(GrpcDialer {
            endpoints: vec![format!("https://localhost:{port}")],
            service_domain: None,
            ca_pem: self.ca_pem.clone(),
            token: token.to_owned(),
        }))
    }
}

fn hello() -> ToAggregator {
    let hello = Hello { instance_id: 3, ..Hello::default() };
    ToAggregator { message: Some(to_aggregator::Message::Hello(hello)) }
}

#[tokio::test]
async fn what_one_side_says_the_other_hears() {
    let mut world = world(4).await;
    let mut agent = world.dialer(world.address.port(), "secret").dial().await.unwrap();
    let mut aggregator = world.sessions.recv().await.unwrap();
    agent.tx.send(hello()).await.unwrap();
    assert_eq!(aggregator.rx.recv().await, Some(hello()));
    let goodbye = ToAgent { message: Some(to_agent::Message::Goodbye(Goodbye {})) };
    aggregator.tx.send(goodbye.clone()).await.unwrap();
    drop(aggregator);
    assert_eq!(agent.rx.recv().await, Some(goodbye), "the last word is heard");
    assert_eq!(agent.rx.recv().await, None);
}

#[tokio::test]
async fn a_stranger_is_turned_away() {
    let mut world = world(4).await;
    for token in ["", "guess", "secret2", "secre"] {
        let dialled = world.dialer(world.address.port(), token).dial().await;
        assert!(matches!(dialled, Err(DialError::Denied(_))), "{dialled:?}");
    }
    assert!(world.sessions.try_recv().is_err());
    let mut plain = world.dialer(world.address.port(), "secret");
    if let Dialer::Grpc(to) = &mut plain {
        let endpoints = vec![format!("http://localhost:{}", world.address.port())];
        *to = Arc::new(to_endpoints(to, endpoints));
    }
    assert!(matches!(plain.dial().await, Err(DialError::Unreachable(_))), "a token needs TLS");
}

fn to_endpoints(as_to: &GrpcDialer, endpoints: Vec<String>) -> GrpcDialer {
    let (ca_pem, token) = (as_to.ca_pem.clone(), as_to.token.clone());
    GrpcDialer { endpoints, service_domain: None, ca_pem, token }
}

#[tokio::test]
async fn where_one_name_leads_nowhere_the_next_is_tried() {
    let mut world = world(4).await;
    let mut dialer = world.dialer(world.address.port(), "secret");
    let Dialer::Grpc(to) = &mut dialer else { panic!("{dialer:?}") };
    let nowhere = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let mut endpoints = vec![
        "https://no-such-host.invalid:1".to_owned(),
        format!("https://localhost:{}", nowhere.port()),
    ];
    let of = |endpoints: &[String]| Dialer::Grpc(Arc::new(to_endpoints(to, endpoints.to_vec())));
    let error = of(&endpoints).dial().await.unwrap_err().to_string();
    assert!(endpoints.iter().all(|endpoint| error.contains(endpoint)), "{error}");
    endpoints.extend(to.endpoints.clone());
    of(&endpoints).dial().await.unwrap();
    assert!(world.sessions.recv().await.is_some());
}

#[tokio::test]
async fn an_aggregator_with_another_certificate_is_not_trusted() {
    let (one, mut other) = (world(4).await, world(4).await);
    let dialled = one.dialer(other.address.port(), "secret").dial().await;
    assert!(matches!(dialled, Err(DialError::Unreachable(_))), "{dialled:?}");
    assert!(other.sessions.try_recv().is_err());
}

#[tokio::test]
async fn sessions_end_with_the_server() {
    let mut world = world(4).await;
    let mut agent = world.dialer(world.address.port(), "secret").dial().await.unwrap();
    let aggregator = world.sessions.recv().await.unwrap();
    world.stop.cancel();
    drop(aggregator);
    assert_eq!(agent.rx.recv().await, None);
    let again = world.dialer(world.address.port(), "secret").dial().await;
    assert!(matches!(again, Err(DialError::Unreachable(_))), "{again:?}");
}

#[tokio::test]
async fn both_sides_see_when_the_other_falls_silent() {
    let mut world = world(4).await;
    let middle = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = middle.local_addr().unwrap().port();
    let to = world.address;
    let between = tokio::spawn(async move {
        let (mut near, _) = middle.accept().await.unwrap();
        let mut far = TcpStream::connect(to).await.unwrap();
        drop(
            tokio::time::timeout(Duration::from_secs(2), copy_bidirectional(&mut near, &mut far))
                .await,
        );
        // From here on nothing passes, and nothing is closed.
        std::future::pending::<()>().await;
    });
    let mut agent = world.dialer(port, "secret").dial().await.unwrap();
    let mut aggregator = world.sessions.recv().await.unwrap();
    agent.tx.send(hello()).await.unwrap();
    assert_eq!(aggregator.rx.recv().await, Some(hello()));
    let silent = async { tokio::join!(agent.rx.recv(), aggregator.rx.recv()) };
    let ended = tokio::time::timeout(Duration::from_mins(1), silent).await;
    assert!(matches!(ended, Ok((None, None))));
    between.abort();
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let mut world = world(1).await;
    let first = world.dialer(world.address.port(), "secret").dial().await.unwrap();
    let held = world.sessions.recv().await.unwrap();
    let dialer = world.dialer(world.address.port(), "secret");
    let second = tokio::spawn(async move { dialer.dial().await });
    drop((first, held));
    assert!(second.await.unwrap().is_ok());
}
