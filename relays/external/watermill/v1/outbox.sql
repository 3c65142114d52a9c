-- The tables that watermill-sql 1.3.5 makes by itself (InitializeSchema), made before the order service writes.
-- They have no index on "offset"; that too is the library's.
create table watermill_orders (
    "offset" serial,
    uuid varchar(36) not null,
    created_at timestamp not null default current_timestamp,
    payload json default null,
    metadata json default null
);

create table watermill_offsets_orders (
    consumer_group varchar(255) not null,
    offset_acked bigint,
    offset_consumed bigint not null,
    primary key (consumer_group)
);
