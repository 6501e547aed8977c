-- +goose Up

-- What operators and owners did to a thread, beside its control.
alter table thread add column taken   integer not null default 0;   -- seq of the last takeover or transfer
alter table thread add column serves  text    not null default '';  -- workflow whose conversation its agent answers
alter table thread add column hidden  integer not null default 0;   -- events up to this seq are not shown to the participant
alter table thread add column erased  integer not null default 0;   -- bodies up to this seq are gone
alter table thread add column counter integer not null default 0;   -- the last number in a message id
create index thread_touched on thread (tenant, workflow, touched_at);             -- decision 15

alter table conversation add column call_id text not null default '';
create index conversation_call on conversation (tenant, call_id) where call_id <> '';

alter table board add column at integer not null default 0;

-- What happens by itself at a time, unless the epoch has passed by then.
create table due (
    tenant       integer not null,
    conversation text    not null,
    kind         text    not null,  -- pickup, silence, return or idle
    thread       integer not null,
    at           integer not null,
    epoch        integer not null,
    primary key (tenant, conversation, kind)
);
create index due_thread on due (thread);

-- How far each reader got.
create table ack (
    thread    integer not null,
    reader    text    not null,  -- subject
    role      text    not null,
    delivered integer not null,  -- seqs; they never go back
    read      integer not null,
    primary key (thread, reader)
);

-- Who did what, when, and from where. Nothing here is ever changed.
create table audit (
    row          integer primary key,
    id           text    not null unique,
    at           integer not null,
    tenant       integer not null,
    principal    text    not null,  -- subject
    role         text    not null,
    credential   text    not null,
    action       text    not null,
    conversation text    not null,  -- '' : none
    object       text    not null,  -- what it was done to
    came_from    text    not null   -- address of the client, '' : unknown
);
create index audit_tenant on audit (tenant, row);
create index audit_conversation on audit (tenant, conversation, row) where conversation <> '';
create index audit_principal on audit (tenant, principal, row);

-- The server gives no statement that these refuse: they are for everything else
-- that opens the file. Times are compared with the machine's own clock.
-- +goose StatementBegin
create trigger audit_is_not_changed before update on audit
begin
    select raise(abort, 'the audit is not changed');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_is_kept before delete on audit
when old.at > cast(strftime('%s', 'now', '-2 years') as integer) * 1000000
begin
    select raise(abort, 'the audit is kept for two years');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_is_not_replaced before insert on audit
when exists (select 1 from audit where id = new.id or row = new.row)
begin
    select raise(ignore);  -- what is there stays: "insert or replace" fires no trigger of a delete
end;
-- +goose StatementEnd

-- +goose Down
drop table audit;
drop table ack;
drop table due;
alter table board drop column at;
drop index conversation_call;
drop index thread_touched;
alter table conversation drop column call_id;
alter table thread drop column counter;
alter table thread drop column erased;
alter table thread drop column hidden;
alter table thread drop column serves;
alter table thread drop column taken;
