use std::sync::atomic::{AtomicU64, Ordering};

use aws_credential_types::{
    Credentials as Keys,
    provider::{error::CredentialsError, future},
};

use super::*;

/// Numbered credentials that live for so many seconds; none from a number on.
#[derive(Debug)]
struct Numbered {
    fetched: Arc<AtomicU64>,
    life_s: Option<u64>,
    fails_from: u64,
}

const START: SystemTime = SystemTime::UNIX_EPOCH;

impl ProvideCredentials for Numbered {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let n = self.fetched.fetch_add(1, Ordering::Relaxed);
        future::ProvideCredentials::ready(if n >= self.fails_from {
            Err(CredentialsError::not_loaded("the metadata service is away"))
        } else {
            let ends = self.life_s.map(|s| START + Duration::from_secs(s * (n + 1)));
            Ok(Keys::new(format!("AKID{n}"), "secret", None, ends, "test"))
        })
    }
}

fn credentials(life_s: Option<u64>, fails_from: u64) -> (Credentials, Arc<AtomicU64>) {
    let fetched = Arc::new(AtomicU64::new(0));
    let provider = Numbered { fetched: fetched.clone(), life_s, fails_from };
    (Credentials::new(Some(SharedCredentialsProvider::new(provider))), fetched)
}

async fn key_at(credentials: &Credentials, at_s: u64) -> Result<String, String> {
    let now = START + Duration::from_secs(at_s);
    let keys = match credentials.at_hand(now) {
        Some(keys) => keys,
        None => credentials.fetched(now).await?,
    };
    Ok(keys.access_key_id().to_owned())
}

#[tokio::test]
async fn credentials_are_fetched_once_and_again_before_they_end() {
    let (credentials, fetched) = credentials(Some(3600), u64::MAX);
    for (at_s, key) in [(0, "AKID0"), (3539, "AKID0"), (3541, "AKID1"), (7139, "AKID1")] {
        assert_eq!(key_at(&credentials, at_s).await.unwrap(), key, "at {at_s} s");
    }
    assert_eq!(fetched.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn credentials_without_an_end_are_looked_at_every_quarter_of_an_hour() {
    let (credentials, _) = credentials(None, u64::MAX);
    for (at_s, key) in [(0, "AKID0"), (899, "AKID0"), (901, "AKID1")] {
        assert_eq!(key_at(&credentials, at_s).await.unwrap(), key, "at {at_s} s");
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_renewed_are_used_to_their_end() {
    let (credentials, fetched) = credentials(Some(3600), 1);
    assert_eq!(key_at(&credentials, 0).await.unwrap(), "AKID0");
    assert_eq!(key_at(&credentials, 3550).await.unwrap(), "AKID0");
    assert_eq!(key_at(&credentials, 3551).await.unwrap(), "AKID0");
    assert_eq!(fetched.load(Ordering::Relaxed), 2, "not with every call");
    let error = key_at(&credentials, 3600).await.unwrap_err();
    assert!(error.contains("the metadata service is away"), "{error}");
}

#[tokio::test]
async fn refused_credentials_are_fetched_anew() {
    let (credentials, _) = credentials(Some(3600), u64::MAX);
    assert_eq!(key_at(&credentials, 0).await.unwrap(), "AKID0");
    credentials.forget();
    assert_eq!(key_at(&credentials, 1).await.unwrap(), "AKID1");
    let none = Credentials::new(None);
    assert!(key_at(&none, 0).await.is_err());
}
