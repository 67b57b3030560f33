-- Jobs. One text for SQLite and Postgres, as 0001.

-- Since when no session of the agent is registered; null while one is. `session` tells the one that is from those
-- it replaced: only that one's end takes the agent offline.
alter table agents add column offline_since bigint;
alter table agents add column session bytea;

create table jobs (
    -- Counts up in the order of submission.
    job bigint primary key,
    id bytea not null unique,
    agent bigint not null references agents (agent),
    kind text not null,
    -- The bytes as they were submitted.
    spec bytea not null,
    idempotency_key text unique,
    status text not null,
    -- 1 where the final status is the hub's own word: it yields to what the agent says.
    by_hub bigint not null default 0,
    -- When the status became final here; null while it is not.
    closed_at bigint,
    created_at bigint not null,
    not_before bigint,
    expires_at bigint not null,
    -- Milliseconds an agent may be away before its jobs count as lost.
    give_up_after bigint,
    cancel_requested_at bigint,
    -- From here on what the agent said; its times corrected to the hub's clock where the offset was known.
    accepted_at bigint,
    started_at bigint,
    finished_at bigint,
    run bigint not null default 0,
    exit_code bigint,
    signal bigint,
    reason text not null default '',
    -- No record of the log lies beyond this one of the logs lane; null where there is none.
    log_epoch bigint,
    log_seq bigint,
    log_lines bigint,
    log_bytes bigint,
    output_cut bigint not null default 0,
    pipe_held bigint not null default 0,
    -- What the handler returned: here, or in these records of the logs lane.
    payload bytea,
    payload_epoch bigint,
    payload_first bigint,
    payload_last bigint,
    progress_run bigint,
    progress_at bigint,
    progress_permille bigint,
    progress_text text
);

create index jobs_of_agent on jobs (agent, job);
create index jobs_by_status on jobs (status, job);
create index jobs_open on jobs (agent, job) where closed_at is null;
create index jobs_open_until on jobs (expires_at) where closed_at is null;
create index jobs_to_give_up on jobs (agent) where closed_at is null and give_up_after is not null;

-- Where a run's lines are: record `seq` of the logs lane of the job's agent.
create table job_output (
    job bigint not null references jobs (job),
    run bigint not null,
    first_line bigint not null,
    last_line bigint not null,
    epoch bigint not null,
    seq bigint not null,
    primary key (job, run, first_line)
);

-- Where the things are that a run left behind: the record, or the first of its parts.
create table job_artifacts (
    job bigint not null references jobs (job),
    run bigint not null,
    name text not null,
    epoch bigint not null,
    seq bigint not null,
    primary key (job, run, name)
);

-- Results of jobs that this hub does not know, or not of that agent: the control record that said so.
create table job_orphans (
    agent bigint not null references agents (agent),
    epoch bigint not null,
    seq bigint not null,
    id bytea not null,
    received_at bigint not null,
    primary key (agent, epoch, seq)
);
