-- Messages that wait for an agent, oldest first. A row goes when the agent has confirmed it, when its time is over, and
-- with the agents at either end of it.
create table relays (
    number bigint not null primary key,
    -- The same each time it is sent: the agent knows it again.
    id bytea not null,
    recipient bigint not null references agents (agent),
    -- Null: the hub's own program.
    sender bigint references agents (agent),
    handler text not null,
    payload bytea not null,
    expires_at bigint not null
);
create index relays_recipient on relays (recipient, number);
create index relays_sender on relays (sender) where sender is not null;
create index relays_expires_at on relays (expires_at);
