-- Who may come in, and with what. One text for SQLite and Postgres, as 0001.

-- Whether this agent has to sign its Challenges; null leaves it to the hub's setting.
alter table agents add column signature text;
-- A rotation that was asked for and is not done: since when, and how many milliseconds the old keys stay good once
-- there is a new one.
alter table agents add column rotate_asked_at bigint;
alter table agents add column rotate_overlap bigint;

-- The order in which an agent's keys were issued.
alter table agent_keys add column issued bigint not null default 1;
-- When the first verified Register came under it; null while it is unused. Keys of before may have been used.
alter table agent_keys add column registered_at bigint;
update agent_keys set registered_at = created_at;
-- From here on it opens nothing any more; null where it has no end.
alter table agent_keys add column expires_at bigint;

-- Invites. The token is not here, only what recognises it.
create table invites (
    token_sha256 bytea primary key,
    agent bigint not null references agents (agent),
    created_at bigint not null,
    expires_at bigint not null,
    -- The key that claimed it, and the agent key that was issued for it last.
    public_key bytea,
    key_id text,
    -- When that key was registered with: from then on nobody can use the invite.
    used_at bigint
);

create index invites_of_agent on invites (agent);
