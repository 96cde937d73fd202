//! Credentials for the calls that are signed here, kept until they end.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials as Keys,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use futures::future::{BoxFuture, FutureExt};
use tokio::sync::Mutex;

use crate::io::telemetry;

/// Longest time for credentials to be fetched; as the SDK has it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long before their end credentials are fetched anew.
const BEFORE_END: Duration = Duration::from_secs(60);
/// How long credentials without an end are kept; as the SDK has it.
const KEPT_WITHOUT_END: Duration = Duration::from_secs(15 * 60);
/// How long after a vain try old credentials that are still good are taken.
const UNTIL_NEXT_TRY: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
struct Kept {
    keys: Keys,
    /// When they are fetched anew.
    until: SystemTime,
    ends: Option<SystemTime>,
}

/// The default chain's credentials (environment, profile, web identity, container, instance).
#[derive(Debug)]
pub(super) struct Credentials {
    provider: Option<SharedCredentialsProvider>,
    kept: RwLock<Option<Arc<Kept>>>,
    fetching: Mutex<()>,
}

impl Credentials {
    pub(super) fn new(provider: Option<SharedCredentialsProvider>) -> Self {
        Self { provider, kept: RwLock::new(None), fetching: Mutex::new(()) }
    }

    /// What calls are signed with at `now`, where nobody has to be asked.
    pub(super) fn at_hand(&self, now: SystemTime) -> Option<Keys> {
        self.kept().filter(|kept| kept.until > now).map(|kept| kept.keys.clone())
    }

    /// What calls are signed with at `now`. In a box: it is seldom asked for, and large.
    ///
    /// # Errors
    /// The reason for which there is none.
    pub(super) fn fetched(&self, now: SystemTime) -> BoxFuture<'_, Result<Keys, String>> {
        async move {
            let _one_at_a_time = self.fetching.lock().await;
            let old = self.kept();
            if let Some(kept) = old.as_ref().filter(|kept| kept.until > now) {
                return Ok(kept.keys.clone());
            }
            let kept = match (self.fetch(now).await, old) {
                (Ok(kept), _) => kept,
                (Err(error), Some(old)) if old.ends.is_none_or(|ends| ends > now) => {
                    tracing::warn!(error, "keeping the credentials");
                    Kept { until: now + UNTIL_NEXT_TRY, ..(*old).clone() }
                }
                (Err(error), _) => return Err(error),
            };
            let keys = kept.keys.clone();
            self.set(Some(Arc::new(kept)));
            Ok(keys)
        }
        .boxed()
    }

    /// They are refused as too old: the next call fetches others.
    pub(super) fn forget(&self) {
        self.set(None);
    }

    async fn fetch(&self, now: SystemTime) -> Result<Kept, String> {
        let Some(provider) = &self.provider else {
            return Err("no provider of AWS credentials is set up".to_owned());
        };
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, provider.provide_credentials()).await;
        let keys = fetched
            .map_err(|_| format!("no AWS credentials within {} s", FETCH_TIMEOUT.as_secs()))?
            .map_err(|error| format!("no AWS credentials: {}", telemetry::chain(&error)))?;
        let ends = keys.expiry();
        let until = match ends {
            Some(ends) => ends.checked_sub(BEFORE_END).unwrap_or(ends),
            None => now + KEPT_WITHOUT_END,
        };
        // Those that live no longer than that are good for a while all the same.
        let until = until.max(now + UNTIL_NEXT_TRY);
        Ok(Kept { keys, until, ends })
    }

    fn kept(&self) -> Option<Arc<Kept>> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, kept: Option<Arc<Kept>>) {
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = kept;
    }
}

#[cfg(test)]
mod tests;
