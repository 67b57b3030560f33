-- What Outpost's own live streams tell: each change of an agent, or of a job's status, in the transaction that makes it.
-- SQLite only, as 0002: a trigger sees every statement that changes a row, whoever wrote it.

-- Numbers count up without a hole, are never used twice, and the oldest rows go first (`store/events`).
create table stream_events (
    event integer primary key autoincrement,
    -- Milliseconds since 1970. With the number it names an event: a copy of the database that was put back gives its
    -- numbers anew.
    at bigint not null default (cast((julianday('now') - 2440587.5) * 86400000 as integer)),
    agent bigint,
    -- Null: of the agent itself.
    job bigint,
    kind text not null,
    -- A JSON object.
    body text not null
);
create index stream_events_of_agent on stream_events (agent, event);
create index stream_events_of_job on stream_events (job, event) where job is not null;

-- The table is never without a row: there is always a newest event.
insert into stream_events (kind, body) values ('begun', '{}');

create trigger stream_agent_added after insert on agents
begin
    insert into stream_events (agent, kind, body) values (new.agent, 'added',
        json_object('agent', new.name, 'agent_id', lower(hex(new.id))));
end;

create trigger stream_agent_session after update of session on agents when new.session is not old.session
begin
    insert into stream_events (agent, kind, body) values (new.agent,
        case when new.session is null then 'disconnected' else 'connected' end,
        json_object('agent', coalesce(new.name, old.name), 'agent_id', lower(hex(new.id)),
            'session_id', lower(hex(coalesce(new.session, old.session)))));
end;

create trigger stream_agent_state after update of state on agents when new.state <> old.state
begin
    insert into stream_events (agent, kind, body) values (new.agent,
        case new.state when 'active' then 'restored' else new.state end,
        json_object('agent', coalesce(new.name, old.name), 'agent_id', lower(hex(new.id))));
end;

-- A label as it is now; null: it is gone.
create trigger stream_label_added after insert on agent_labels
begin
    insert into stream_events (agent, kind, body)
    select new.agent, 'label', json_object('agent', name, 'agent_id', lower(hex(id)), 'label', new.name, 'value', new.value)
    from agents where agent = new.agent;
end;

create trigger stream_label_changed after update of value on agent_labels when new.value <> old.value
begin
    insert into stream_events (agent, kind, body)
    select new.agent, 'label', json_object('agent', name, 'agent_id', lower(hex(id)), 'label', new.name, 'value', new.value)
    from agents where agent = new.agent;
end;

-- A removed agent's labels go with it.
create trigger stream_label_removed after delete on agent_labels
begin
    insert into stream_events (agent, kind, body)
    select old.agent, 'label', json_object('agent', name, 'agent_id', lower(hex(id)), 'label', old.name, 'value', null)
    from agents where agent = old.agent and state <> 'removed';
end;

create trigger stream_gap after insert on gaps
begin
    insert into stream_events (agent, kind, body)
    select new.agent, 'gap', json_object('agent', name, 'agent_id', lower(hex(id)),
        'lane', case new.lane when 1 then 'control' when 2 then 'events' else 'logs' end,
        'from', new.first, 'to', new.last, 'reason', new.reason, 'records', new.records, 'bytes', new.bytes)
    from agents where agent = new.agent;
end;

create trigger stream_loss after insert on losses
begin
    insert into stream_events (agent, kind, body)
    select new.agent, 'loss', json_object('agent', name, 'agent_id', lower(hex(id)),
        'lane', case new.lane when 1 then 'control' when 2 then 'events' else 'logs' end,
        'from', new.first, 'to', new.last, 'reason', new.reason)
    from agents where agent = new.agent;
end;

-- The fields of a job's view that change.
create view stream_jobs as
select jobs.job, jobs.agent, json_object(
    'job_id', lower(substr(hex(jobs.id), 1, 8) || '-' || substr(hex(jobs.id), 9, 4) || '-' || substr(hex(jobs.id), 13, 4)
        || '-' || substr(hex(jobs.id), 17, 4) || '-' || substr(hex(jobs.id), 21, 12)),
    'agent', agents.name, 'agent_id', lower(hex(agents.id)), 'job_kind', jobs.kind,
    'status', jobs.status, 'run', jobs.run, 'exit_code', jobs.exit_code, 'signal', jobs.signal,
    'reason', nullif(jobs.reason, ''), 'created_at_ms', jobs.created_at, 'accepted_at_ms', jobs.accepted_at,
    'started_at_ms', jobs.started_at, 'finished_at_ms', jobs.finished_at,
    'cancel_requested', json(case when jobs.cancel_requested_at is null then 'false' else 'true' end),
    'log_lines', jobs.log_lines, 'log_bytes', jobs.log_bytes) as body
from jobs join agents on agents.agent = jobs.agent;

create trigger stream_job_added after insert on jobs
begin
    insert into stream_events (agent, job, kind, body) select agent, job, 'job', body from stream_jobs where job = new.job;
end;

create trigger stream_job_changed after update of status, run, cancel_requested_at on jobs
when new.status <> old.status or new.run <> old.run
    or (new.cancel_requested_at is null) <> (old.cancel_requested_at is null)
begin
    insert into stream_events (agent, job, kind, body) select agent, job, 'job', body from stream_jobs where job = new.job;
end;
