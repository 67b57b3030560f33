-- 1 where `spec` is sealed under the hub's key file: the spec has secrets.
alter table jobs add column spec_sealed bigint not null default 0;
