//! The error table: one row gives an error's name, number, close code, HTTP status, whether a retry helps, and its text.
//!
//! A number never changes its meaning. docs/protocol.md shows the same table; a test holds the two together.

/// How a peer that got this error should go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// With the usual reconnect delays.
    Soon,
    /// At the capped delay: the same attempt will fail again until somebody acts.
    Capped,
}

macro_rules! error_table {
    ($($variant:ident = $number:literal, $name:literal, $close:literal, $http:literal, $retry:ident, $text:literal;)*) => {
        /// An error both ends know by number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = $text] $variant,)*
        }

        impl ErrorCode {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in headers, logs and JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The number in an Error envelope.
            pub const fn number(self) -> u32 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The WebSocket close code.
            pub const fn close_code(self) -> u16 {
                match self { $(Self::$variant => $close,)* }
            }

            /// The HTTP status where it is found before the upgrade; 0 where it cannot be.
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $http,)* }
            }

            /// How to go on.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => Retry::$retry,)* }
            }

            /// What it means and what to do.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

error_table! {
    TooLarge = 1, "too_large", 1009, 413, Capped, "the message is larger than the negotiated limit; send smaller ones";
    BadTrailer = 2, "bad_trailer", 1008, 0, Capped, "the frame does not end with a 32-byte mac field; check that the URL is a hub's and that nothing between changes frames";
    BadMac = 3, "bad_mac", 1008, 0, Capped, "the frame's MAC does not verify: the two ends hold different keys, or the frame was changed; check the key file and the hub's URL";
    Malformed = 4, "malformed", 1008, 0, Capped, "the frame is not one well-formed envelope; check which versions the two ends have";
    Clock = 5, "clock", 1008, 401, Soon, "the time in a message is more than 5 minutes off, or a certificate is outside of its dates: the clocks do not fit, or a large message took too long on a slow line; set the clocks of both ends and connect anew, which takes the hub's time again, or send less at once";
    BadSequence = 6, "bad_sequence", 1008, 0, Soon, "the frame's sequence number is not the next one; connect anew";
    Unexpected = 7, "unexpected", 1008, 0, Capped, "this message is not allowed at this point of the session; check which versions the two ends have";
    Invalid = 8, "invalid", 1008, 0, Capped, "a field of the message is outside its bounds; check which versions the two ends have";
    TextFrame = 9, "text_frame", 1008, 0, Capped, "text messages are not part of the protocol; send binary ones";
    SequenceHole = 10, "sequence_hole", 1008, 0, Soon, "records begin above the next expected number, nothing was stored; connect anew and go on from the hub's mark";
    AckOutOfRange = 11, "ack_out_of_range", 1008, 0, Soon, "an ack lies outside of what was sent; connect anew";
    WrongHub = 12, "wrong_hub", 1008, 0, Capped, "the hub is not the one the agent's key was made for; give that hub's URL, or a key that this hub issued";
    BadSignature = 13, "bad_signature", 1008, 0, Capped, "the Ed25519 signature is missing or does not verify; give the agent the bound key with --identity-file";
    RegisterTimeout = 14, "register_timeout", 1008, 0, Soon, "no verified Register in time";
    Idle = 15, "idle", 1000, 0, Soon, "nothing was received for the idle time";
    WriteTimeout = 16, "write_timeout", 1000, 0, Soon, "the peer accepted no byte within the write time-out";
    NoAck = 17, "no_ack", 1000, 0, Soon, "a backlog waits and no ack came";
    Replaced = 18, "replaced", 1000, 0, Soon, "a newer login of the same agent took over";
    IdentityInUse = 19, "identity_in_use", 1008, 0, Capped, "another copy of this agent is connected; give each copy an identity of its own";
    BadRequest = 20, "bad_request", 1008, 400, Capped, "the upgrade request lacks a header or has a malformed one; check that nothing between changes headers";
    Unauthorized = 21, "unauthorized", 1008, 401, Capped, "the credential is missing or wrong; use the key file that `outpost hub agent add` wrote";
    UnknownAgent = 22, "unknown_agent", 1008, 401, Capped, "the hub does not know this agent; add it with `outpost hub agent add`";
    KeyUnknown = 23, "key_unknown", 1008, 401, Capped, "the hub does not know this key of the agent; use the newest key file, or invite the agent again";
    Revoked = 24, "revoked", 1008, 403, Capped, "the agent was revoked; if it is to come back, let it enrol again with `outpost hub agent invite`";
    UnsupportedVersion = 25, "unsupported_version", 1008, 426, Capped, "the peer does not speak outpost.v1; install versions that do at both ends";
    Busy = 26, "busy", 1013, 503, Soon, "the hub takes no more sessions now";
    RateLimited = 27, "rate_limited", 1013, 429, Soon, "too many attempts";
    StorageFull = 28, "storage_full", 1013, 503, Soon, "the hub cannot store more at present";
    Internal = 29, "internal", 1011, 500, Soon, "the hub failed; its log says why";
    GoingAway = 30, "going_away", 1001, 503, Soon, "the hub is shutting down";
    RecordTooLarge = 31, "record_too_large", 1008, 0, Capped, "a record is larger than 1 MiB; split it";
    UpgradeSignature = 34, "upgrade_signature", 1008, 401, Capped, "the upgrade is not signed by the bound key for one of the hub's URLs; give the agent that key with --identity-file, and name the URL it dials in the hub's public_urls";
    UpgradeReplayed = 35, "upgrade_replayed", 1008, 401, Soon, "the nonce of the signed upgrade was used before; connect anew, which draws another";
    QuotaExceeded = 36, "quota_exceeded", 1013, 0, Capped, "the hub stores as much of this agent as its quota allows; raise `bytes` under `[quota]` in the hub's config";
    Tls = 37, "tls", 1008, 400, Capped, "no TLS that can be trusted; write https:// for a TLS port, give the hub's authority with --ca, and look at the dates and names of its certificate";
    ChannelBinding = 38, "channel_binding", 1008, 0, Capped, "the session's keys are bound to another TLS connection: something between ends TLS; let it pass TLS through, or let the hub behind it take plain http and name it in the hub's trusted_proxies";
    BadCompression = 39, "bad_compression", 1008, 0, Capped, "a compressed batch is damaged, or is not what the message says of it; check which versions the two ends have";
    RelayDenied = 40, "relay_denied", 1008, 0, Capped, "no rule of the hub lets this agent send to that one; add one to `allow` under `[relay]` in the hub's config";
    RelaySender = 41, "relay_sender", 1008, 0, Capped, "the message names another sender than the agent whose session it came in; leave the sender out";
    RelayOffline = 42, "relay_offline", 1013, 0, Soon, "the agent it is for is not connected; send it later, or have it queued";
    RelayFull = 43, "relay_full", 1013, 0, Soon, "as much waits for the agent it is for as may; send it later";
    RelayHandler = 44, "relay_handler", 1008, 0, Capped, "the agent it is for has no such handler, or its handler refused; check the handler's name at both ends";
}

impl ErrorCode {
    /// The entry with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }

    /// The entry with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name(), self.text())
    }
}

/// A frame or message the peer should not have sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.name())]
pub struct WireError {
    /// The entry of the table.
    pub code: ErrorCode,
    /// What exactly, with the numbers.
    pub detail: String,
}

impl WireError {
    /// An error with its particulars.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_number_and_name_stands_once() {
        let numbers: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.number()).collect();
        let names: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(numbers.len(), ErrorCode::ALL.len());
        assert_eq!(names.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
            assert_eq!(ErrorCode::from_name(code.name()), Some(*code));
        }
        assert_eq!(ErrorCode::from_number(0), None);
    }

    #[test]
    fn what_no_retry_mends_says_what_to_do() {
        for code in ErrorCode::ALL.iter().filter(|code| code.retry() == Retry::Capped) {
            let advice = code.text().split_once("; ").map(|(_, advice)| advice);
            assert!(advice.is_some_and(|advice| !advice.is_empty()), "{code}");
        }
    }
}
