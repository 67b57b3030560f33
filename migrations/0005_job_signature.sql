-- An operator's Ed25519 signature over the job's spec, as it was submitted; null where there is none.
alter table jobs add column signature bytea;
