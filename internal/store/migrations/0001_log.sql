-- +goose Up

-- What this database is: schema facts that the program checks before it writes.
create table meta (
    k text primary key,
    v text not null
);
insert into meta (k, v) values ('min_writer', '1');

create table tenant (
    id         integer primary key,
    name       text    not null unique,
    rev        integer not null default 0,  -- revision of the tenant's board
    rev_hash   blob    not null,            -- chain hash over the board's changes
    created_at integer not null             -- microseconds since 1970, UTC, as all times here
);

-- One row per thread. Every append locks it, so control lives here.
create table thread (
    id           integer primary key,
    tenant       integer not null references tenant (id),
    workflow     text    not null,
    participant  text    not null,
    head         integer not null,  -- seq of the last event
    head_hash    blob    not null,
    head_at      integer not null,
    trim         integer not null,  -- events up to this seq are gone
    trim_hash    blob    not null,
    epoch        integer not null,
    holder       text    not null,
    conversation text    not null,  -- id of the ACTIVE conversation, or ''
    reserved     text    not null,  -- id that the next conversation will have, or ''
    answer       integer not null,  -- seq of the answer-started without an end, or 0
    chat_mark    integer not null,
    touched_at   integer not null   -- who looks for changed threads brings the index: it costs every append
);
create unique index thread_address on thread (tenant, workflow, participant);
create index thread_answer on thread (id) where answer <> 0;

-- The log. Events are the messages: there is no second copy.
create table event (
    thread      integer not null,
    seq         integer not null,
    kind        text    not null,
    version     integer not null,
    codec       integer not null,  -- 0: the body is plain JSON
    id          text    not null,
    at          integer not null,
    at_offset   integer not null,  -- minutes east of UTC of the sender's clock
    audience    integer not null,  -- 0 everyone, 1 operators, 2 agent
    client_key  text,
    key_sum     blob,
    body        blob    not null,
    hash        blob    not null,
    principal   text    not null,
    credential  text    not null,
    node        text    not null,
    in_reply_to text,
    traceparent text,
    client_time text
);
create unique index event_seq on event (thread, seq);
create unique index event_key on event (thread, client_key) where client_key is not null;
create index event_id on event (id);
create index event_answer on event (thread, seq) where kind in ('answer-started', 'answer-ended');

-- One row per conversation: the struct as JSON, and beside it what is asked for.
create table conversation (
    tenant        integer not null,
    id            text    not null,
    thread        integer not null,
    status        text    not null,
    mode          text    not null,
    urgency       integer not null,  -- 2 critical, 1 urgent, 0 normal
    admin_id      text    not null,
    opened_at     integer not null,
    waiting_since integer not null,  -- 0: nobody waits
    ended_at      integer not null,  -- 0: it goes on
    first_seq     integer not null,
    rev           integer not null,
    body          blob    not null,
    primary key (tenant, id)
);
create index conversation_thread on conversation (thread, first_seq);
create index conversation_rev on conversation (tenant, rev);
create index conversation_list on conversation (tenant, status, urgency, waiting_since);

-- The board's history of changes, one narrow row each.
create table board (
    tenant integer not null,
    rev    integer not null,
    hash   blob    not null,
    primary key (tenant, rev)
);

-- Questions that have not been answered to the end. Written with the question,
-- deleted with the answer's end, so that a killed server knows what it owes.
create table turn (
    thread       integer not null,
    question     integer not null,  -- seq of the message
    answer       text    not null,  -- id that the answer will have
    conversation text    not null,
    request_id   text    not null,
    scope        text    not null,
    workflow     text    not null,  -- whose agent answers
    asker        blob,              -- JSON: what the agent may know of who asks
    locale       text    not null,
    asked        integer not null,  -- 1: the upstream was called
    started      integer not null,  -- seq of its answer-started, or 0
    created_at   integer not null,
    primary key (thread, question)
);

-- The text of answers that have no end yet, in pieces.
create table checkpoint (
    thread  integer not null,
    started integer not null,
    at_byte integer not null,
    chunk   text    not null,
    primary key (thread, started, at_byte)
);

-- +goose Down
drop table checkpoint;
drop table turn;
drop table board;
drop table conversation;
drop table event;
drop table thread;
drop table tenant;
drop table meta;
