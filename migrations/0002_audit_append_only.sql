-- SQLite only: nobody changes or removes what the audit says.
create trigger audit_no_update before update on audit
begin
    select raise(abort, 'the audit table is append-only');
end;
create trigger audit_no_delete before delete on audit
begin
    select raise(abort, 'the audit table is append-only');
end;
