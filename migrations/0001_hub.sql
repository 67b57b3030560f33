-- One text for SQLite and Postgres: bigint, bytea and text mean the same to both here.
-- Numbers of 64 bits without a sign (epochs) are kept as their bits; times are milliseconds since 1970 by the hub.

create table installation (
    one bigint primary key check (one = 1),
    hub_id bytea not null,
    -- A known text sealed with the key file: tells a wrong key file from a damaged row.
    key_check bytea not null,
    created_at bigint not null
);

-- Removed agents keep their row (their marks stay for ever) but lose name and keys.
create table agents (
    agent bigint primary key,
    id bytea not null unique,
    name text unique,
    public_key bytea,
    state text not null check (state in ('active', 'revoked', 'removed')),
    created_at bigint not null
);

create table agent_keys (
    agent bigint not null references agents (agent),
    key_id text not null,
    bearer_sha256 bytea not null,
    mac_root_sealed bytea not null,
    created_at bigint not null,
    primary key (agent, key_id)
);

-- The marks. Kept for ever: a stream that was forgotten could be stored twice.
create table streams (
    agent bigint not null references agents (agent),
    lane bigint not null,
    epoch bigint not null,
    acked bigint not null,
    acked_crc bigint not null,
    primary key (agent, lane, epoch)
);

-- Consecutive records of one stream, encoded as they came.
create table batches (
    agent bigint not null references agents (agent),
    lane bigint not null,
    epoch bigint not null,
    first bigint not null,
    last bigint not null,
    received_at bigint not null,
    clock_offset bigint,
    batch bytea not null,
    primary key (agent, lane, epoch, first)
);

create table gaps (
    agent bigint not null references agents (agent),
    lane bigint not null,
    epoch bigint not null,
    first bigint not null,
    last bigint not null,
    received_at bigint not null,
    reason text not null,
    records bigint not null,
    bytes bigint not null,
    primary key (agent, lane, epoch, first)
);

-- What agents lost before it had a number the hub could wait for; `seq` is the control record that said so.
create table losses (
    agent bigint not null references agents (agent),
    control_epoch bigint not null,
    seq bigint not null,
    lane bigint not null,
    epoch bigint not null,
    first bigint not null,
    last bigint not null,
    received_at bigint not null,
    reason text not null,
    primary key (agent, control_epoch, seq)
);

-- Each process of an agent that registered: two that alternate are two copies of one identity.
create table instances (
    agent bigint not null references agents (agent),
    instance bytea not null,
    hostname text not null,
    agent_version text not null,
    first_seen bigint not null,
    last_seen bigint not null,
    primary key (agent, instance)
);

create table audit (
    entry bigint primary key,
    at bigint not null,
    action text not null,
    subject text not null,
    detail text not null
);

-- One row, written to find out whether the database can commit.
create table probe (
    one bigint primary key check (one = 1),
    filler bytea not null
);
