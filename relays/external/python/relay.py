"""A polling outbox relay from PostgreSQL to Kafka, written to be read and copied.

Again and again, in one transaction: claim the oldest rows, publish them, wait until Kafka has confirmed every one,
delete them, commit. Whatever goes wrong before the commit, the rows are still there and are published again: events
can arrive twice, but none is lost.
"""

import os
import signal
import sys
import time

import psycopg
from confluent_kafka import KafkaException, Producer

TOPIC = os.environ["TOPIC"]
POLL_SECONDS = 0.05
PAUSE_SECONDS = 1
KAFKA_SECONDS = 5  # for Kafka to confirm a batch
BATCH_SECONDS = 8  # for a whole batch, PostgreSQL included

# One worker, in the order of `seq`. With SKIP LOCKED a second worker would step over the rows that the first one holds
# and publish version 2 of an order before version 1. And no cursor (`seq > last`): numbers are given out at the insert
# but rows show at the commit, so a slow transaction's row would turn up behind the cursor and never be seen.
CLAIM = "select seq, order_id, payload from outbox order by seq limit 500 for update"

POSTGRES = {
    "conninfo": os.environ["DATABASE_URL"],
    "connect_timeout": 5,
    # The claim holds row locks. Should this process hang, the server ends its transaction, for a successor to go on.
    "options": "-c idle_in_transaction_session_timeout=10s -c statement_timeout=8s",
}
KAFKA = {
    "bootstrap.servers": os.environ["BOOTSTRAP"],
    "acks": "all",
    "enable.idempotence": True,  # the client's own retries neither double nor reorder
    # No time limit for the single message: version 1 could expire while version 2, a moment younger, still gets
    # through. Instead KAFKA_SECONDS limits the whole batch.
    "message.timeout.ms": 0,
    "partitioner": "murmur2_random",  # by key, as the Java client does
    "log_level": 2,  # not every failed connect: `run` fails with one line
}

stopping = False


def stop(_signal, _frame):
    global stopping
    stopping = True


def give_up(_signal, _frame):
    raise TimeoutError(f"no end after {BATCH_SECONDS} s")


def log(message):
    print(message, file=sys.stderr, flush=True)


def publish(producer, rows):
    """Return once Kafka has every row; raise otherwise."""
    errors = []

    def on_delivery(error, _message):
        if error:
            errors.append(error)

    for _seq, order_id, payload in rows:
        producer.produce(TOPIC, key=order_id, value=payload, on_delivery=on_delivery)
    unconfirmed = producer.flush(KAFKA_SECONDS)
    if errors:
        raise KafkaException(errors[0])
    if unconfirmed:
        raise TimeoutError(f"Kafka has not confirmed {unconfirmed} of {len(rows)} events")


def relay_batch(db, producer):
    """Move one batch; return how many rows it had."""
    rows = db.execute(CLAIM).fetchall()
    if rows:
        publish(producer, rows)
        # The very rows that were published, not `seq <= max`: a row with a lower number may have become visible since.
        db.execute("delete from outbox where seq = any(%s)", [[seq for seq, _, _ in rows]])
    db.commit()
    return len(rows)


def run():
    """Relay until told to stop or until something fails."""
    db = None
    producer = Producer(KAFKA)
    try:
        # A link that swallows everything gives no error: only a clock of our own ends the wait for an answer.
        signal.alarm(BATCH_SECONDS)
        producer.list_topics(TOPIC, timeout=KAFKA_SECONDS)
        db = psycopg.connect(**POSTGRES)
        log("READY")
        while not stopping:
            signal.alarm(BATCH_SECONDS)
            if not relay_batch(db, producer):
                time.sleep(POLL_SECONDS)
    finally:
        signal.alarm(0)
        # What the producer still holds must not reach Kafka after later events: drop it. The next run has a new one.
        producer.purge()
        # Closing rolls back. An explicit ROLLBACK would wait for an answer, on a link that may be dead.
        if db:
            db.close()


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGALRM, give_up)
while not stopping:
    try:
        run()
    except (psycopg.Error, KafkaException, TimeoutError) as error:
        log(f"{type(error).__name__}: {error}; again in {PAUSE_SECONDS} s")
        time.sleep(PAUSE_SECONDS)
