//! Requests about what the outbox holds: one record, whether all of it is sound, a bundle of all, the acks for one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWrite;

use crate::agent::bundle::{self, Acked, BundleFailure, Export, Exported};
use crate::agent::identity::{self, Identity};
use crate::agent::record::{self, Shown};
use crate::id::BundleId;
use crate::limit;
use crate::obs::random;

use super::Intake;
use super::frame::{self, Kind};
use super::session::{Failure, json, write};

fn failure(error: &BundleFailure) -> Failure {
    Failure::new(error.code(), error)
}

fn identity(intake: &Intake) -> Result<Identity, Failure> {
    identity::load(&intake.identity).map_err(|error| failure(&error.into()))
}

pub(super) async fn show(intake: &Intake, reference: &str) -> Result<Shown, Failure> {
    let id = reference.parse().map_err(|error| Failure::new("bad_request", error))?;
    match record::show(&intake.outbox, id).await {
        Ok(Some(shown)) => Ok(shown),
        Ok(None) => Err(Failure::new("no_record", record::absent(id))),
        Err(error) => Err(Failure::new("store", error)),
    }
}

/// A row for each part, as it was verified.
pub(super) async fn verify(writer: &mut (impl AsyncWrite + Unpin), intake: &Intake) -> Result<(), Failure> {
    let store = |error| Failure::new("store", error);
    for part in intake.outbox.verifiable().await.map_err(store)? {
        let found = intake.outbox.verify(part).await.map_err(store)?;
        write(writer, &frame::encode(Kind::Row, &json(&found))).await?;
    }
    Ok(())
}

pub(super) async fn export(
    writer: &mut (impl AsyncWrite + Unpin),
    intake: &Intake,
) -> Result<Exported, Failure> {
    let id = BundleId::from_bytes(random::bytes());
    let begun = Export::begin(&intake.outbox, &intake.state, identity(intake)?, id).await;
    let (begun, export) = begun.map_err(|error| failure(&error))?;
    write(writer, &frame::encode(Kind::Row, &json(&begun))).await?;
    let Some(mut export) = export else { return Ok(Exported::default()) };
    while let Some(bytes) = export.next().await.map_err(|error| failure(&error))? {
        write(writer, &frame::encode(Kind::Data, &bytes)).await?;
    }
    Ok(export.exported().clone())
}

pub(super) async fn ack(intake: &Intake, acks: &str) -> Result<Acked, Failure> {
    let bytes = STANDARD.decode(acks).map_err(|error| Failure::new("bad_request", error))?;
    if bytes.len() > limit::ACK_FILE_BYTES_MAX {
        return Err(Failure::new("bad_request", format!("an ack file of {} bytes", bytes.len())));
    }
    let identity = identity(intake)?;
    bundle::ack(&intake.outbox, &identity, &bytes).await.map_err(|error| failure(&error))
}
