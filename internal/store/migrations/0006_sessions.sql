-- +goose Up

-- Sessions of the session events, one row per thread of theirs. The id is nowhere:
-- the thread is named by its SHA-256, since an id may itself be a credential.
create table session (
    thread     integer primary key,
    tenant     integer not null,
    owner      text    not null,           -- the user, in lower case
    ahead      integer not null,           -- 1: a back end made it
    fixed      integer not null,           -- 1: expires_at does not move
    capability text,                       -- of one whose id is a credential: the hash; null for others
    floor      integer not null,           -- events up to this seq are of an earlier session of that id
    buried     integer not null,           -- places up to this seq are of sessions that were ended
    created_at integer not null,
    expires_at integer not null,
    ended_at   integer not null            -- 0: it was not ended
);
create unique index session_capability on session (capability) where capability is not null;
create index session_owner on session (tenant, owner, expires_at);

-- +goose Down
drop table session;
