//! Why a session ends, in the peer's words.

use tokio_tungstenite::tungstenite::{self, error::ProtocolError};

use crate::hub::store::StoreError;
use crate::session::Closed;
use crate::wire::error::ErrorCode;

/// What a failure of the store is to the peer.
pub(crate) fn for_peer(error: &StoreError) -> (ErrorCode, String) {
    match error {
        StoreError::CannotCommit(_) => (ErrorCode::StorageFull, "the database cannot commit".to_owned()),
        StoreError::MarkMoved => (ErrorCode::Replaced, "another session moved the mark".to_owned()),
        StoreError::NotWelcome => {
            let code = ErrorCode::UnknownAgent;
            (code, code.text().to_owned())
        }
        StoreError::Revoked => {
            let code = ErrorCode::Revoked;
            (code, code.text().to_owned())
        }
        StoreError::OverQuota { .. } => (ErrorCode::QuotaExceeded, error.to_string()),
        StoreError::NumberTooLarge(number) => (ErrorCode::Invalid, format!("number {number}")),
        StoreError::Closed => (ErrorCode::GoingAway, "the hub is shutting down".to_owned()),
        other => {
            tracing::error!(error = %other, "the store failed");
            (ErrorCode::Internal, "the store failed".to_owned())
        }
    }
}

/// The end that an error of the WebSocket layer is: some of them the peer is told.
pub(super) fn of_socket(error: &tungstenite::Error) -> Closed {
    let code = match error {
        tungstenite::Error::Capacity(_) => ErrorCode::TooLarge,
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            return gone(&error.to_string());
        }
        tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_) => ErrorCode::Malformed,
        _ => return gone(&error.to_string()),
    };
    Closed { code: code.close_code(), error: Some(code), detail: error.to_string() }
}

pub(super) fn gone(detail: &str) -> Closed {
    Closed { code: 1000, error: None, detail: detail.to_owned() }
}
