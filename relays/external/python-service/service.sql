create table orders (
    order_id uuid primary key,
    state    text not null,
    version  int  not null
);
-- What each change made of its order. The harness reads it as the truth: which attempt made which version.
create table order_changes (
    order_id  uuid not null references orders,
    version   int  not null,
    change_id uuid not null,
    attempt   uuid not null,
    primary key (order_id, version),
    unique (order_id, change_id)
);
create table outbox (
    -- The order of one order's events: it is drawn while the order's own row is locked.
    seq      bigint generated always as identity primary key,
    attempt  uuid not null,
    order_id text not null,
    payload  text not null
);
