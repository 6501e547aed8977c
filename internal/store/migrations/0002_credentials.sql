-- +goose Up

-- API keys. The key itself is never here: only its SHA-256.
create table api_key (
    id         text    primary key,
    hash       blob    not null unique,
    tenant     integer not null references tenant (id),
    name       text    not null,
    role       text    not null,
    workflow   text    not null,  -- '' : all of the tenant
    subject    text    not null,  -- of a participant's key: whose
    rate_n     integer not null,  -- 0: the default of its role
    rate_per   integer not null,  -- microseconds
    created_at integer not null,
    expires_at integer not null,  -- 0: never
    revoked_at integer not null,  -- 0: not
    seen_at    integer not null   -- the last day it came from a web page, 0: never
);
create index api_key_subject on api_key (tenant, subject);

-- Tickets, for what cannot send a header. Only the SHA-256 is kept.
create table ticket (
    id         text    primary key,
    hash       blob    not null unique,
    tenant     integer not null references tenant (id),
    purpose    text    not null,  -- stream or socket
    parent     text    not null,  -- id of the credential that asked for it
    principal  blob    not null,  -- JSON: who that credential stood for
    bound      blob,              -- JSON: where the first use was; null before it
    used_at    integer not null,  -- first use, 0: none yet
    created_at integer not null,
    first_by   integer not null,  -- it must be used once by then
    expires_at integer not null   -- the parent's expiry, 0: never
);
create index ticket_first_by on ticket (first_by) where used_at = 0;

-- What was taken back before its time.
create table revoked (
    what   text    not null,  -- jti, subject, key or secret
    tenant integer not null,  -- 0: all tenants
    name   text    not null,
    at     integer not null,
    until  integer not null,  -- nothing that it names can be good after this
    rev    integer not null,  -- the revision that brought it
    primary key (what, tenant, name)
);
create index revoked_rev on revoked (rev);

-- One row. Every change that must end streams raises rev in its transaction;
-- each server reads it once a second.
create table revocations (
    one integer primary key check (one = 1),
    rev integer not null
);
insert into revocations (one, rev) values (1, 0);

-- The server's own signing keys (HS256).
create table secret (
    kid        text    primary key,
    bytes      blob    not null,
    is_current integer unique check (is_current = 1),  -- null: retired
    created_at integer not null,
    until      integer not null  -- of a retired one: what it signed is good until then
);

-- +goose Down
drop table secret;
drop table revocations;
drop table revoked;
drop table ticket;
drop table api_key;
