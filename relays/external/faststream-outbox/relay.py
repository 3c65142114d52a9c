"""The relay of the faststream-outbox tutorial: its outbox subscriber with a Kafka publisher stacked on top.

Fetching, leases, retries and deleting are the library's, with its defaults. The Kafka producer is not closed at the
end, as in the tutorial: without Kafka that would wait longer than a stop may take, and every publish was awaited.
"""

import asyncio
import logging
import os
import sys

from faststream import FastStream
from faststream.kafka import KafkaBroker, KafkaResponse
from faststream_outbox import OutboxBroker, make_outbox_table
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import create_async_engine

logging.basicConfig()  # warnings and errors to stderr; FastStream's own logger has two lines a message
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # without Kafka, dozens of lines a second
logger = logging.getLogger("relay")

workers = int(os.environ.get("WORKERS", "1"))
engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=workers + 1)
outbox = OutboxBroker(engine, outbox_table=make_outbox_table(MetaData()), logger=logger)
kafka = KafkaBroker(os.environ["BOOTSTRAP"], acks="all", enable_idempotence=True, logger=logger)
app = FastStream(outbox, on_startup=[kafka.connect], logger=logger)


@kafka.publisher(os.environ["TOPIC"])
@outbox.subscriber("orders", max_workers=workers)
async def relay(body: dict) -> KafkaResponse:
    return KafkaResponse(body, key=body["order_id"].encode())


@app.after_startup
async def ready() -> None:
    print("READY", file=sys.stderr, flush=True)


asyncio.run(app.run())
