-- +goose Up

-- Links that sign somebody in. The code itself is never here: only its SHA-256.
create table login_link (
    id         text    primary key,
    hash       blob    not null unique,
    tenant     integer not null references tenant (id),
    username   text    not null,  -- the account that it signs in; '' : an owner without an account
    once       integer not null,  -- 1: its first use is its last
    local      integer not null,  -- 1: from this machine only
    created_at integer not null,
    expires_at integer not null
);

-- +goose Down
drop table login_link;
