-- Log lines of apps. One text for SQLite and Postgres, as 0001.

-- Lines of apps are numbered over all of the hub, in the order in which they are stored. A number is never given twice.
create table app_numbers (
    one bigint primary key check (one = 1),
    next bigint not null
);
insert into app_numbers (one, next) values (1, 1);

-- Which batches have such lines: numbers first to last, in the order of its records. Kept as long as an app's ring reaches back.
create table app_batches (
    first bigint primary key,
    last bigint not null,
    agent bigint not null references agents (agent),
    epoch bigint not null,
    -- Number of the batch's first record, in the logs lane.
    record bigint not null,
    received_at bigint not null,
    bytes bigint not null
);

-- Lines up to `upto` that somebody dropped.
create table app_drops (
    app text primary key,
    upto bigint not null,
    at bigint not null
);

-- The app that a job's output is log lines of.
alter table jobs add column app text;
create index jobs_of_app on jobs (app, job) where app is not null;
