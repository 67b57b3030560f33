-- What all batches of an agent weigh together, so that its quota needs no sum over them.
alter table agents add column stored_bytes bigint not null default 0;
update agents set stored_bytes =
    coalesce((select sum(length(batch)) from batches where batches.agent = agents.agent), 0);
