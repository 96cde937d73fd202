//! The front before a server on loopback that takes everything and remembers it.

use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;

/// What the server behind was sent.
type Sent = Arc<Mutex<Vec<(Parts, Bytes)>>>;

async fn front(faults: Faults) -> (Front, Sent) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let upstream = listener.local_addr().expect("an address");
    let sent = Sent::default();
    let own = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let own = Arc::clone(&own);
            let service = service_fn(move |request: Request<Incoming>| {
                let own = Arc::clone(&own);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    own.lock().expect("no panic").push((head, body));
                    Ok::<_, hyper::Error>(serve::plain(204, ""))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let listen = Listen {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        port_file: None,
        connections_max: 1,
    };
    let settings = Settings { listen, upstream, token: "s3cret".to_owned(), faults };
    (Front::new(settings).expect("good settings"), sent)
}

/// What comes of a write of these lines with this `authorization`: the status, or nothing where it is cut.
async fn write(front: &Front, authorization: &str, lines: &'static str) -> Option<u16> {
    let request = Request::post("/api/v2/write?org=o&bucket=b&precision=ns")
        .header("authorization", authorization)
        .header("content-encoding", "gzip")
        .body(());
    let (head, ()) = request.expect("a request").into_parts();
    let answer = front.call(&head, Bytes::from(lines)).await;
    answer.ok().map(|answer| answer.status().as_u16())
}

#[tokio::test]
async fn a_write_passes_with_the_token_alone_which_the_server_behind_does_not_see() {
    let (front, sent) = front(Faults::default()).await;
    for wrong in ["", "s3cret", "Token s3cre", "Token s3cret2", "Basic s3cret"] {
        assert_eq!(write(&front, wrong, "m v=1").await, Some(401), "{wrong:?}");
    }
    assert!(sent.lock().expect("no panic").is_empty());
    for right in ["Token s3cret", "Bearer s3cret"] {
        assert_eq!(write(&front, right, "m v=1").await, Some(204), "{right:?}");
    }
    assert_eq!(write(&front, "Token s3cret", "").await, Some(204));
    let sent = sent.lock().expect("no panic");
    let bodies: Vec<_> = sent.iter().map(|(_, body)| &body[..]).collect();
    assert_eq!(bodies, [&b"m v=1"[..], b"m v=1", b""]);
    for (head, _) in sent.iter() {
        assert_eq!(head.uri, "/api/v2/write?org=o&bucket=b&precision=ns");
        assert_eq!(head.headers.get(CONTENT_ENCODING).expect("it is passed on"), "gzip");
        assert!(!head.headers.contains_key(AUTHORIZATION));
    }
    let stats = *front.stats();
    assert_eq!((stats.calls, stats.probes, stats.unauthorized), (2, 1, 5));
}

#[tokio::test]
async fn a_fault_takes_the_place_of_a_write_or_of_its_answer() {
    let always = |set: fn(&mut Faults)| {
        let mut faults = Faults::default();
        set(&mut faults);
        faults
    };
    for (faults, status, writes) in [
        (always(|faults| faults.throttle_percent = 100.0), Some(429), 0),
        (always(|faults| faults.fail_percent = 100.0), Some(500), 0),
        (always(|faults| faults.deny = true), Some(403), 0),
        (always(|faults| faults.cut_percent = 100.0), None, 0),
        (always(|faults| faults.down_ms = 60_000), None, 0),
        (always(|faults| faults.cut_after_apply_percent = 100.0), None, 1),
    ] {
        let (front, sent) = front(faults.clone()).await;
        assert_eq!(write(&front, "Token s3cret", "m v=1").await, status, "{faults:?}");
        assert_eq!(sent.lock().expect("no panic").len(), writes, "{faults:?}");
        assert_eq!(write(&front, "Token s3cret", "").await, Some(204), "a probe meets none");
    }
}
