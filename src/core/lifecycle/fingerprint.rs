//! A digest of what a test runs, so that the operator need not hold whole scripts to know whether a spec changed.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use crate::api::v1alpha1::TestSpec;

/// 128 bits over the typed spec: two specs that decode to the same values have the same fingerprint, whatever their
/// field order or left-out defaults. Lives in memory only; it is no protection against an adversary, whose only
/// gain would be that their own test is not started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint([u64; 2]);

impl Fingerprint {
    /// The fingerprint of a spec.
    pub fn of(spec: &TestSpec) -> Self {
        let value = serde_json::to_value(spec).unwrap_or_default();
        Self([0_u8, 1].map(|seed| {
            let mut hasher = DefaultHasher::new();
            seed.hash(&mut hasher);
            feed(&value, &mut hasher);
            hasher.finish()
        }))
    }
}

/// Each kind of value has its own tag, and each list and map its length, so that no two values feed the same bytes.
fn feed(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(flag) => (1_u8, flag).hash(hasher),
        Value::Number(number) => (2_u8, number.to_string()).hash(hasher),
        Value::String(text) => (3_u8, text).hash(hasher),
        Value::Array(items) => {
            (4_u8, items.len()).hash(hasher);
            for item in items {
                feed(item, hasher);
            }
        }
        Value::Object(map) => {
            (5_u8, map.len()).hash(hasher);
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            for (key, item) in keys {
                key.hash(hasher);
                feed(item, hasher);
            }
        }
    }
}
