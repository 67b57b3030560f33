-- Who asks the API, and what for. One text for SQLite and Postgres, as 0001.

-- Tokens beside the first one, which is a file. The token itself is not here, only what recognises it. A revoked one keeps
-- its row, so that what it did can be told; its name is free again.
create table tokens (
    id bytea primary key,
    name text not null,
    secret_sha256 bytea not null,
    scope text not null check (scope in ('read', 'submit', 'admin')),
    created_at bigint not null,
    created_by text not null,
    expires_at bigint,
    revoked_at bigint
);
create unique index tokens_name on tokens (name) where revoked_at is null;

-- Who did it; null in entries of before.
alter table audit add column actor text;
-- Who submitted it; null in jobs of before.
alter table jobs add column submitted_by text;

-- Jobs that one submission made, all of them or none.
create table job_groups (
    id bytea primary key,
    created_at bigint not null,
    idempotency_key text unique,
    -- What was asked for: the agents' names in order, or the selector.
    target text not null
);
alter table jobs add column job_group bytea references job_groups (id);
create index jobs_of_group on jobs (job_group, job) where job_group is not null;
create index jobs_created_at on jobs (created_at);

-- What an operator says of an agent, for selectors.
create table agent_labels (
    agent bigint not null references agents (agent),
    name text not null,
    value text not null,
    primary key (agent, name)
);
create index agent_labels_value on agent_labels (name, value);
