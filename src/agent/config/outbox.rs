//! The `[outbox]` section: what the outbox may take of the disk and keep.

use std::time::Duration;

use crate::id::Lane;
use crate::limit;
use crate::outbox::{Durability, LanePolicy, OnFull, Options};
use crate::unit;

use super::raw::{RawLane, RawOutbox, Switch};
use super::{ConfigError, Origin};

/// Fills `options` from the section.
pub(super) fn check(options: &mut Options, raw: &RawOutbox, origin: &Origin<'_>) -> Result<(), ConfigError> {
    for (lane, section) in
        [(Lane::Control, &raw.control), (Lane::Events, &raw.events), (Lane::Logs, &raw.logs)]
    {
        check_lane(lane, options.lanes.of_mut(lane), section, origin)?;
    }
    options.key_file.clone_from(&raw.key_file);
    options.min_free = origin.size("outbox.min_free", raw.min_free.as_ref())?;
    options.max_bytes = origin.size("outbox.max_bytes", raw.max_bytes.as_ref())?;
    if let Some(bytes) = options.max_bytes {
        // Control is set aside, and events and logs need room for one record each.
        let control = options.lanes.of(Lane::Control).max_bytes;
        let beside = 2 * limit::LANE_QUOTA_BYTES_MIN + limit::BALLAST_BYTES + limit::CORE_AHEAD_BYTES;
        let least = control.saturating_add(beside);
        if bytes < least {
            let reason = format!(
                "must be at least {least} bytes: the {control} of outbox.control.max_bytes are set aside in it, events and logs need {beside}; raise it or lower outbox.control.max_bytes"
            );
            return Err(origin.wrong("outbox.max_bytes", reason));
        }
    }
    Ok(())
}

fn check_lane(
    lane: Lane,
    policy: &mut LanePolicy,
    raw: &RawLane,
    origin: &Origin<'_>,
) -> Result<(), ConfigError> {
    let key = |name: &str| format!("outbox.{lane}.{name}");
    if let Some(bytes) = origin.size(&key("max_bytes"), raw.max_bytes.as_ref())? {
        let least = limit::LANE_QUOTA_BYTES_MIN;
        if bytes < least {
            return Err(origin.wrong(&key("max_bytes"), format!("must be at least {least} bytes (2MiB)")));
        }
        policy.max_bytes = bytes;
    }
    if let Some(text) = &raw.ttl {
        policy.ttl = Some(ttl(lane, &key("ttl"), text, origin)?);
    }
    if let Some(text) = &raw.on_full {
        policy.on_full = on_full(lane, &key("on_full"), text, origin)?;
    }
    if let Some(switch) = &raw.durable {
        policy.durability = durability(lane, &key("durable"), switch, origin)?;
    }
    Ok(())
}

fn ttl(lane: Lane, key: &str, text: &str, origin: &Origin<'_>) -> Result<Duration, ConfigError> {
    if lane == Lane::Control {
        return Err(origin.wrong(key, "results never expire; remove it, or set it for events or logs"));
    }
    let ttl = unit::duration(text).map_err(|error| origin.wrong(key, error.to_string()))?;
    if ttl < limit::TTL_MIN || ttl > limit::TTL_MAX {
        return Err(origin.wrong(key, format!("`{text}` is not 1m to 3650d")));
    }
    Ok(ttl)
}

fn on_full(lane: Lane, key: &str, text: &str, origin: &Origin<'_>) -> Result<OnFull, ConfigError> {
    match (text, lane) {
        ("refuse", _) => Ok(OnFull::Refuse),
        ("block", _) => Ok(OnFull::Block),
        ("evict", Lane::Events | Lane::Logs) => Ok(OnFull::Evict),
        ("evict", Lane::Control) => {
            Err(origin.wrong(key, "results are never evicted; use `refuse` or `block`"))
        }
        (other, _) => Err(origin.wrong(key, format!("`{other}` is not `refuse`, `evict` or `block`"))),
    }
}

fn durability(
    lane: Lane,
    key: &str,
    switch: &Switch,
    origin: &Origin<'_>,
) -> Result<Durability, ConfigError> {
    match (switch.value(), lane) {
        (Some(true), _) => Ok(Durability::Synced),
        (Some(false), Lane::Logs) => Ok(Durability::Buffered),
        (Some(false), Lane::Control | Lane::Events) => {
            Err(origin.wrong(key, "only logs may be lost with the power; remove it or set it for logs"))
        }
        (None, _) => Err(origin.wrong(key, "must be `true` or `false`")),
    }
}
