-- +goose Up

-- People who sign in. A password is here only as its hash.
create table account (
    id          integer primary key,
    tenant      integer not null references tenant (id),
    username    text    not null,  -- in lower case
    email       text    not null,  -- in lower case, '' if unknown
    name        text    not null,  -- display name
    role        text    not null,
    workflows   text    not null,  -- JSON list; []: all of the tenant
    password    text    not null,  -- as package auth encodes it; '' : cannot sign in by password
    created_at  integer not null,
    disabled_at integer not null,  -- 0: not
    unique (tenant, username)
);
create unique index account_email on account (tenant, email) where email <> '';

-- +goose Down
drop table account;
