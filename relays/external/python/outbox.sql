-- The service writes a row here in the transaction that changes the order; the relay deletes it once Kafka has it.
create table outbox (
    -- The order of one order's events: the service inserts while it holds the lock on the order's own row.
    seq      bigint generated always as identity primary key,
    event_id uuid   not null,
    order_id text   not null,
    payload  text   not null
);
