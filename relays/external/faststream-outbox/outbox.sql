-- As SQLAlchemy makes it from make_outbox_table(metadata, table_name="outbox") of faststream-outbox 0.19.0.
create table outbox (
    id bigserial not null,
    queue varchar(255) not null,
    payload bytea not null,
    headers jsonb,
    attempts_count bigint default '0' not null,
    deliveries_count bigint default '0' not null,
    created_at timestamp with time zone default now() not null,
    next_attempt_at timestamp with time zone default now() not null,
    first_attempt_at timestamp with time zone,
    last_attempt_at timestamp with time zone,
    acquired_at timestamp with time zone,
    acquired_token uuid,
    timer_id varchar(255),
    primary key (id),
    constraint outbox_lease_ck check ((acquired_token is null) = (acquired_at is null))
);
create index outbox_leased_idx on outbox (queue, next_attempt_at, id) where acquired_token is not null;
create index outbox_pending_idx on outbox (queue, next_attempt_at, id) where acquired_token is null;
create unique index outbox_timer_id_uq on outbox (queue, timer_id) where timer_id is not null;
