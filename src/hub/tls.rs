//! The hub's certificate while the hub runs: what is used is logged, replacements are looked for, and its end is told of
//! in time.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::limit;
use crate::net::tls::certificate::{Certificate, Kind};
use crate::net::tls::server::{Look, Remaining, ServerTls};
use crate::obs::{clock, secret_file};

use super::Shared;

/// Says what is used from now on, and what is wrong with it.
pub(super) fn announce(tls: &ServerTls) -> Remaining {
    let certificate = tls.certificate();
    let file = tls.files().cert.display();
    tracing::info!(
        %file, serial = certificate.serial, issuer = certificate.issuer, names = certificate.names.join(", "),
        expires = %tls.expires(), "TLS runs with this certificate"
    );
    if certificate.names.is_empty() {
        tracing::warn!(%file, "the certificate is for no host name or address (subjectAltName); nobody will accept it");
    }
    if certificate.kind == Kind::Authority {
        tracing::warn!(%file, "the hub's certificate is an authority's (CA:TRUE); agents do not accept it as a server's");
    }
    secret_file::warn_of(&tls.files().key);
    let now = clock::wall_now();
    if certificate.not_before > now {
        let valid_from = certificate.not_before;
        tracing::warn!(%file, %valid_from, %now, "the certificate is not valid yet; check this machine's clock");
    }
    let remaining = Remaining::of(tls.expires(), now);
    warn_of(tls, remaining);
    remaining
}

fn warn_of(tls: &ServerTls, remaining: Remaining) {
    let (file, expires) = (tls.files().cert.display(), tls.expires());
    match remaining {
        Remaining::Enough => {}
        Remaining::Little(_) => {
            let days = expires.0.saturating_sub(clock::wall_now().0) / (24 * 3600 * 1000);
            tracing::warn!(
                %file, %expires, days,
                "the certificate, or one that signed it, expires soon; replace the files, no restart is needed"
            );
        }
        Remaining::Expired => {
            tracing::error!(
                %file, %expires,
                "the certificate, or one that signed it, has expired: agents do not accept it; replace the files, no restart is needed"
            );
        }
    }
}

/// What the last look at the files was like: a disk that hangs is told of once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    Answers,
    Hangs,
}

/// Looks at the files until the hub stops.
pub(super) async fn watch(shared: Arc<Shared>, tls: Arc<ServerTls>, mut told: Remaining) {
    let mut disk = Disk::Answers;
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(limit::TLS_LOOK_INTERVAL) => {}
        }
        let look = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            look = tls.look(clock::boot_now()) => look,
        };
        match (&look, disk) {
            (Err(error), Disk::Answers) => tracing::warn!(
                %error, in_use = tls.certificate().serial, expires = %tls.expires(),
                "the TLS files cannot be looked at; the ones before stay in use"
            ),
            (Ok(_), Disk::Hangs) => tracing::info!("the TLS files can be looked at again"),
            (Err(_), Disk::Hangs) | (Ok(_), Disk::Answers) => {}
        }
        disk = if look.is_ok() { Disk::Answers } else { Disk::Hangs };
        match look {
            Ok(Look::Same) | Err(_) => {}
            Ok(Look::Replaced) => told = announce(&tls),
            Ok(Look::Broken(error)) => {
                tracing::warn!(
                    %error, in_use = tls.certificate().serial, expires = %tls.expires(),
                    "the TLS files were replaced by what cannot be used; the ones before stay in use"
                );
            }
        }
        let remaining = Remaining::of(tls.expires(), clock::wall_now());
        if remaining > told {
            warn_of(&tls, remaining);
        }
        told = remaining;
    }
}

/// What `GET /v1/status` shows.
pub(super) fn to_json(tls: &ServerTls) -> Value {
    let Certificate { serial, subject, issuer, names, not_before, not_after, kind: _ } = tls.certificate();
    json!({
        "cert": tls.files().cert,
        "serial": serial,
        "subject": subject,
        "issuer": issuer,
        "names": names,
        "not_before_ms": not_before.0,
        "not_after_ms": not_after.0,
        "expires_ms": tls.expires().0,
        "client_ca": tls.files().client_ca,
    })
}
