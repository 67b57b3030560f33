//! The three messages of a rotation.

use bytes::Bytes;

use crate::id::KeyId;
use crate::wire::error::WireError;
use crate::wire::message::KeyShare;
use crate::wire::proto;

use super::field::{fixed, invalid};

pub(super) fn rotate_to_proto(share: &KeyShare) -> proto::RotateKey {
    let public = Bytes::copy_from_slice(&share.public);
    proto::RotateKey { key_id: share.key_id.as_str().to_owned(), public }
}

pub(super) fn rotate_from_proto(rotate: &proto::RotateKey) -> Result<KeyShare, WireError> {
    share(&rotate.key_id, &rotate.public)
}

pub(super) fn reply_to_proto(share: &KeyShare) -> proto::KeyReply {
    let public = Bytes::copy_from_slice(&share.public);
    proto::KeyReply { key_id: share.key_id.as_str().to_owned(), public }
}

pub(super) fn reply_from_proto(reply: &proto::KeyReply) -> Result<KeyShare, WireError> {
    share(&reply.key_id, &reply.public)
}

pub(super) fn stored_to_proto(key_id: &KeyId) -> proto::KeyStored {
    proto::KeyStored { key_id: key_id.as_str().to_owned() }
}

pub(super) fn stored_from_proto(stored: &proto::KeyStored) -> Result<KeyId, WireError> {
    key_id(&stored.key_id)
}

fn share(text: &str, public: &[u8]) -> Result<KeyShare, WireError> {
    Ok(KeyShare { key_id: key_id(text)?, public: fixed(public, "public")? })
}

fn key_id(text: &str) -> Result<KeyId, WireError> {
    text.parse().map_err(|_| invalid(format!("a key id of {} bytes, or of other letters", text.len())))
}
