"""An order service with its outbox inside, written to be read and copied: HTTP in front, PostgreSQL behind, and a
thread of its own that publishes what is in its outbox to Kafka.

A change of an order, its version and its event are rows of one transaction. What of it the client is told is certain:
2xx, it is committed; 4xx, it is not and never will be; anything else leaves it open.
"""

import json
import os
import queue
import signal
import socket
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
from confluent_kafka import KafkaException, Producer

RUN = os.environ["RUN"]
TOPIC = os.environ["TOPIC"]
POOL_SIZE = 16
LEND_SECONDS = 1  # for a free connection to PostgreSQL
WORK_SECONDS = 8  # for anything that is done with one
HOLD_MS_MAX = 10_000
BODY_BYTES_MAX = 1_000_000
POLL_SECONDS = 0.02
KAFKA_SECONDS = 5  # for Kafka to confirm a batch
PAUSE_SECONDS = 0.5

# By kind of change: the state that it starts from, the state that it leads to, the type of its event.
CHANGES = {
    "placed": (None, "placed", "OrderPlaced"),
    "paid": ("placed", "paid", "OrderPaid"),
    "shipped": ("paid", "shipped", "OrderShipped"),
    "delivered": ("shipped", "delivered", "OrderDelivered"),
    "amended": (None, None, "OrderAmended"),
}
POSTGRES = {
    "conninfo": os.environ["DATABASE_URL"],
    "connect_timeout": 3,
    # What this process has given up on must not hold locks for long.
    "options": "-c statement_timeout=8s -c idle_in_transaction_session_timeout=15s",
}
KAFKA = {
    "bootstrap.servers": os.environ["BOOTSTRAP"],
    "acks": "all",
    "enable.idempotence": True,  # the client's own retries neither double nor reorder
    "message.timeout.ms": 0,  # KAFKA_SECONDS limits a batch as a whole: single messages must not overtake each other
    "partitioner": "murmur2_random",  # by key, as the Java client does
    "log_level": 2,
}

stopping = threading.Event()


def log(message):
    print(message, file=sys.stderr, flush=True)


class Rejected(Exception):
    """The change is not committed, and never will be."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class Pool:
    """A few connections, lent to one at a time. A link that swallows everything gives no error: whoever has one for
    too long loses it."""

    def __init__(self):
        self.idle = queue.LifoQueue()
        for _ in range(POOL_SIZE):
            self.idle.put(None)
        self.lent = {}
        threading.Thread(target=self.watch, daemon=True).start()

    @contextmanager
    def lend(self):
        try:
            db = self.idle.get(timeout=LEND_SECONDS)
        except queue.Empty:
            raise TimeoutError(f"all {POOL_SIZE} connections to PostgreSQL are in use") from None
        try:
            if db is None or db.closed:
                db = psycopg.connect(**POSTGRES)
            self.lent[id(db)] = (db, time.monotonic())
            # Commits at its end, rolls back where an exception leaves it.
            with db.transaction():
                yield db
        except psycopg.Error:
            # Whatever it was about: the next one begins with a new connection.
            if db is not None:
                db.close()
            raise
        finally:
            self.lent.pop(id(db), None)
            self.idle.put(db)

    def watch(self):
        while True:
            time.sleep(1)
            for db, since in list(self.lent.values()):
                if time.monotonic() - since > WORK_SECONDS + HOLD_MS_MAX / 1000:
                    try:
                        socket.socket(fileno=os.dup(db.fileno())).shutdown(socket.SHUT_RDWR)
                    except (OSError, psycopg.Error):
                        pass  # it is closed already


class Orders:
    """Changes of orders, each in one transaction."""

    def __init__(self, pool):
        self.pool = pool

    def change(self, order_id, kind, request):
        """Make the change; return its version."""
        change_id, attempt = uuid_of(request, "change_id"), uuid_of(request, "attempt")
        content, directive = request.get("content"), request.get("directive", "commit")
        if not isinstance(content, str):
            raise Rejected(400, "`content` is no text")
        hold_ms = directive.get("hold_ms") if isinstance(directive, dict) else 0
        if directive not in ("commit", "veto") and not (isinstance(hold_ms, int) and 0 < hold_ms <= HOLD_MS_MAX):
            raise Rejected(400, "`directive` is neither commit, veto nor {hold_ms: N}")
        with self.pool.lend() as db:
            version, done = self.write(db, order_id, kind, change_id, attempt)
            if done:
                return version
            event = {
                "run": RUN,
                "order_id": str(order_id),
                "version": version,
                "attempt": str(attempt),
                "type": CHANGES[kind][2],
                "content": content,
            }
            self.announce(db, event)
            if directive == "veto":
                raise Rejected(422, "a business rule forbids this change")
            time.sleep(hold_ms / 1000)
        self.committed(event)
        return version

    def write(self, db, order_id, kind, change_id, attempt):
        """Write the change; return its version, and whether it had been made before."""
        required, afterwards, _ = CHANGES[kind]
        if kind == "placed":
            placing = "insert into orders values (%s, 'placed', 1) on conflict do nothing returning version"
            version = 1 if db.execute(placing, [order_id]).fetchone() else None
        else:
            version = None
        if version is None:
            # Locked, or two changes of one order would get the same version.
            locking = "select state, version from orders where order_id = %s for update"
            order = db.execute(locking, [order_id]).fetchone()
            if not order:
                raise Rejected(404, "there is no such order")
            made = "select version from order_changes where order_id = %s and change_id = %s"
            before = db.execute(made, [order_id, change_id]).fetchone()
            if before:
                return before[0], True
            if kind == "placed":
                raise Rejected(409, "the order exists already, placed by another change")
            state, latest = order
            if required not in (None, state):
                raise Rejected(409, f"an order that is {state} cannot become {kind}")
            version = latest + 1
            changing = "update orders set state = %s, version = %s where order_id = %s"
            db.execute(changing, [afterwards or state, version, order_id])
        making = "insert into order_changes (order_id, version, change_id, attempt) values (%s, %s, %s, %s)"
        db.execute(making, [order_id, version, change_id, attempt])
        return version, False

    def announce(self, db, event):
        """In the transaction."""
        row = [event["attempt"], event["order_id"], json.dumps(event)]
        db.execute("insert into outbox (attempt, order_id, payload) values (%s, %s, %s)", row)

    def committed(self, event):
        """After the transaction: nothing is left to do."""


def uuid_of(request, key):
    try:
        return uuid.UUID(request[key])
    except (KeyError, ValueError, AttributeError, TypeError):
        raise Rejected(400, f"`{key}` is no UUID") from None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60  # for a client that says nothing
    orders = None

    def do_GET(self):
        self.answer(*((200, {"status": "ready"}) if self.path == "/health" else (404, rejected("no such resource"))))

    def do_POST(self):
        try:
            version, status = self.change()
            self.answer(status, {"outcome": "committed", "version": version})
        except Rejected as why:
            self.answer(why.status, rejected(str(why)))
        except (psycopg.Error, KafkaException, TimeoutError) as error:
            # It may be committed or not.
            self.answer(503, {"error": f"{type(error).__name__}: {error}"})

    def change(self):
        request = self.body()
        match self.path.split("/"):
            case ["", "orders"]:
                if request.get("to", "placed") != "placed":
                    raise Rejected(400, "an order begins by being placed")
                return self.orders.change(uuid_of(request, "order_id"), "placed", request), 201
            case ["", "orders", order_id, "transitions"]:
                kind = request.get("to")
                if kind not in CHANGES or kind == "placed":
                    raise Rejected(400, "`to` is none of paid, shipped, delivered, amended")
                return self.orders.change(uuid_of({"order": order_id}, "order"), kind, request), 200
            case _:
                raise Rejected(404, "no such resource")

    def body(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True  # what it sends now is not read
            raise Rejected(413 if length.isdigit() else 411, f"a body has a length, of at most {BODY_BYTES_MAX} bytes")
        try:
            request = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise Rejected(400, f"the body is no JSON: {error}") from None
        if not isinstance(request, dict):
            raise Rejected(400, "the body is no JSON object")
        return request

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if stopping.is_set():
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass  # not a line for each request


def rejected(reason):
    return {"outcome": "rejected", "reason": reason}


class Server(ThreadingHTTPServer):
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        pass  # a client that hung up


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


def relay(pool):
    """Publish what is in the outbox, in the order of `seq`, until something fails: claim, publish, wait until Kafka has
    confirmed every row, delete, commit. Rows that were published and not deleted are published again."""
    producer = Producer(KAFKA)
    try:
        while not stopping.is_set():
            with pool.lend() as db:
                claim = "select seq, order_id, payload from outbox order by seq limit 500 for update"
                rows = db.execute(claim).fetchall()
                if rows:
                    publish(producer, rows)
                    db.execute("delete from outbox where seq = any(%s)", [[seq for seq, _, _ in rows]])
            if not rows:
                stopping.wait(POLL_SECONDS)
    finally:
        # What it still holds must not reach Kafka after later events: drop it. The next one starts afresh.
        producer.purge()


def relay_for_ever(pool):
    while not stopping.is_set():
        try:
            relay(pool)
        except (psycopg.Error, KafkaException, TimeoutError) as error:
            log(f"{type(error).__name__}: {error}; again in {PAUSE_SECONDS} s")
            stopping.wait(PAUSE_SECONDS)


def serve(make_orders, *workers):
    """Until SIGTERM: then what is under way is finished."""
    pool = Pool()
    with pool.lend():
        pass  # whoever cannot reach PostgreSQL is not ready
    Handler.orders = make_orders(pool)
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
    threads = [threading.Thread(target=worker, args=[pool]) for worker in workers]
    for thread in threads:
        thread.start()

    def stop(_signal, _frame):
        stopping.set()
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    log("READY")
    server.serve_forever(poll_interval=0.1)
    deadline = time.monotonic() + WORK_SECONDS
    while pool.lent and time.monotonic() < deadline:
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    # Threads of clients that keep their connection open would be waited for otherwise.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    serve(Orders, relay_for_ever)
