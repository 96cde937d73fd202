//! Whether the table is there, before the load starts; and its making, where that is asked for.

use aws_sdk_timestreamwrite::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::RetentionProperties,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::{
    client::{ClientError, TimestreamOutput},
    outcome,
};
use crate::{api::v1alpha1::TimestreamCreate, io::telemetry, output::output::Probe};

/// What a failed call says about the table.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    Missing(String),
    Denied(String),
    Conflict,
    Invalid(String),
    Passing(String),
}

/// Looks at the table of `output`.
pub(super) async fn probe(output: &TimestreamOutput) -> Probe {
    let client = match output.client().await {
        Ok(client) => client,
        Err(ClientError::Config(error)) => return Probe::Failed(error.to_string()),
        Err(ClientError::Denied(said)) => {
            return Probe::Failed(outcome::denied(&said, output.target()));
        }
        Err(error @ ClientError::Discovery(_)) => return Probe::Waiting(error.to_string()),
    };
    let found = client
        .describe_table()
        .database_name(output.target().database)
        .table_name(output.target().table)
        .send()
        .await
        .map_err(|error| trouble(&error));
    match (found, &output.spec().create) {
        (Ok(_), _) => Probe::Ready,
        (Err(Trouble::Missing(_)), Some(wanted)) => create(&client, output, wanted).await,
        (Err(Trouble::Missing(said)), None) => {
            Probe::Failed(outcome::missing(&said, output.target()))
        }
        // An identity that may only write is a sound one.
        (Err(Trouble::Denied(said)), _) => Probe::ReadyUnproved(said),
        (Err(Trouble::Invalid(said)), _) => Probe::Failed(said),
        (Err(Trouble::Conflict), _) => Probe::Waiting("the table is being changed".to_owned()),
        (Err(Trouble::Passing(said)), _) => Probe::Waiting(said),
    }
}

async fn create(client: &Client, output: &TimestreamOutput, wanted: &TimestreamCreate) -> Probe {
    let target = output.target();
    let database = client
        .create_database()
        .database_name(target.database)
        .send()
        .await
        .map_err(|error| trouble(&error));
    // An identity may be allowed to make tables in a database that is there.
    if let Err(trouble @ (Trouble::Passing(_) | Trouble::Invalid(_))) = database {
        return not_made("database", target.database, trouble);
    }
    let retention = RetentionProperties::builder()
        .memory_store_retention_period_in_hours(wanted.memory_retention_hours.into())
        .magnetic_store_retention_period_in_days(wanted.magnetic_retention_days.into())
        .build();
    let retention = match retention {
        Ok(retention) => retention,
        Err(error) => return Probe::Failed(error.to_string()),
    };
    let table = client
        .create_table()
        .database_name(target.database)
        .table_name(target.table)
        .retention_properties(retention)
        .send()
        .await
        .map_err(|error| trouble(&error));
    match table {
        Ok(_) | Err(Trouble::Conflict) => Probe::Ready,
        Err(trouble) => not_made("table", target.table, trouble),
    }
}

fn not_made(what: &str, name: &str, trouble: Trouble) -> Probe {
    match trouble {
        Trouble::Passing(said) => Probe::Waiting(said),
        Trouble::Conflict => Probe::Ready,
        Trouble::Missing(said) | Trouble::Denied(said) | Trouble::Invalid(said) => {
            Probe::Failed(format!("Timestream did not create {what} {name}: {said}"))
        }
    }
}

fn trouble<E>(error: &SdkError<E, HttpResponse>) -> Trouble
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
    let said = match error.as_service_error().and_then(ProvideErrorMetadata::message) {
        Some(message) => format!("{code}: {message}"),
        None => telemetry::chain(error),
    };
    let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
    match (code, status) {
        ("ResourceNotFoundException", _) => Trouble::Missing(said),
        ("ConflictException", _) => Trouble::Conflict,
        ("AccessDeniedException", _) => Trouble::Denied(said),
        (
            "ValidationException" | "UnrecognizedClientException" | "InvalidSignatureException",
            _,
        ) => Trouble::Invalid(said),
        _ => Trouble::Passing(said),
    }
}
