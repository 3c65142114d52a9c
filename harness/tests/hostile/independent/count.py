#!/usr/bin/env python3
"""Counts again what a run's record says, from the database and the broker themselves, on a stack that was kept.

    count.py external.toml record.json [psql]

It shares nothing with the harness: psql reads the tables of PostgreSQL, and those of MariaDB, topics and cache are read by
the protocols of MariaDB, Kafka, RabbitMQ, NATS and Redis, spoken here.
For each strategy it prints what it counted, as JSON.
"""

import base64
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import tomllib

COMMITTED_ONLY = 1  # isolation_level: aborted transactions are left out
TIMEOUT_S = 20
PSQL = sys.argv[3] if len(sys.argv) > 3 else "psql"


class Broker:
    """A connection to a broker, and the few requests that reading a topic takes."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), TIMEOUT_S)
        self.number = 0

    def ask(self, key, version, body):
        self.number += 1
        header = struct.pack(">hhih", key, version, self.number, 5) + b"count"
        message = header + body
        self.socket.sendall(struct.pack(">i", len(message)) + message)
        (length,) = struct.unpack(">i", self.exactly(4))
        answer = Reader(self.exactly(length))
        assert answer.int32() == self.number, "an answer to another question"
        return answer

    def exactly(self, length):
        parts = bytearray()
        while len(parts) < length:
            part = self.socket.recv(min(length - len(parts), 1 << 20))
            if not part:
                raise EOFError("the broker closed the connection")
            parts += part
        return bytes(parts)


class Reader:
    """Reads what the protocol writes, from the front on."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        part = self.data[self.at : self.at + length]
        if len(part) != length:
            raise EOFError("too short")
        self.at += length
        return part

    def number(self, form):
        (value,) = struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))
        return value

    def int8(self):
        return self.number("b")

    def int16(self):
        return self.number("h")

    def int32(self):
        return self.number("i")

    def int64(self):
        return self.number("q")

    def text(self):
        length = self.int16()
        return None if length < 0 else self.take(length).decode()

    def blob(self):
        length = self.int32()
        return b"" if length < 0 else self.take(length)

    def varint(self):
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7

    def bytes_by_varint(self):
        length = self.varint()
        return None if length < 0 else self.take(length)

    def left(self):
        return len(self.data) - self.at


def text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def partitions_of(bootstrap, topic):
    """Metadata, version 1: the leader of each partition, as an address."""
    answer = Broker(bootstrap).ask(3, 1, struct.pack(">i", 1) + text(topic))
    brokers = {}
    for _ in range(answer.int32()):
        node, host, port, _rack = answer.int32(), answer.text(), answer.int32(), answer.text()
        brokers[node] = f"{host}:{port}"
    answer.int32()  # the controller
    leaders = {}
    for _ in range(answer.int32()):
        error, name, _internal = answer.int16(), answer.text(), answer.int8()
        assert error == 0 and name == topic, f"topic {topic}: error {error}"
        for _ in range(answer.int32()):
            error, partition, leader = answer.int16(), answer.int32(), answer.int32()
            for _ in range(2):  # replicas, and those in sync
                answer.take(4 * answer.int32())
            assert error == 0, f"partition {partition}: error {error}"
            leaders[partition] = brokers[leader]
    return leaders


def end_of(broker, topic, partition):
    """ListOffsets, version 2: where a reader of what is committed comes to the end."""
    body = struct.pack(">ibi", -1, COMMITTED_ONLY, 1) + text(topic)
    body += struct.pack(">iiq", 1, partition, -1)
    answer = broker.ask(2, 2, body)
    answer.int32()  # throttled
    assert answer.int32() == 1 and answer.text() == topic and answer.int32() == 1
    _partition, error, _time, offset = answer.int32(), answer.int16(), answer.int64(), answer.int64()
    assert error == 0, f"the end of partition {partition}: error {error}"
    return offset


def fetched(broker, topic, partition, offset):
    """Fetch, version 4: the batches from an offset on, and the transactions among them that were aborted."""
    body = struct.pack(">iiiib", -1, 500, 1, 8 << 20, COMMITTED_ONLY)
    body += struct.pack(">i", 1) + text(topic) + struct.pack(">i", 1)
    body += struct.pack(">iqi", partition, offset, 8 << 20)
    answer = broker.ask(1, 4, body)
    answer.int32()  # throttled
    assert answer.int32() == 1 and answer.text() == topic and answer.int32() == 1
    _partition, error = answer.int32(), answer.int16()
    assert error == 0, f"partition {partition} at {offset}: error {error}"
    answer.int64(), answer.int64()  # high watermark, last stable offset
    aborted = [(answer.int64(), answer.int64()) for _ in range(max(answer.int32(), 0))]
    return answer.blob(), aborted


def records_of(broker, topic, partition):
    """The value of each record that a reader of what is committed gets, from the first to the end."""
    end, offset = end_of(broker, topic, partition), 0
    open_aborted, told = set(), set()
    while offset < end:
        data, aborted = fetched(broker, topic, partition, offset)
        waiting = sorted((first, producer) for producer, first in aborted)
        batches, before = Reader(data), offset
        while batches.left() >= 61:
            base, length = batches.int64(), batches.int32()
            if batches.left() < length:
                break  # the broker cuts the last one short
            batch = Reader(batches.take(length))
            batch.int32()  # leader epoch
            magic, checksum = batch.int8(), batch.number("I")
            assert magic == 2, f"a batch of version {magic}"
            attributes, last = batch.int16(), batch.int32()
            batch.int64(), batch.int64()  # times
            producer = batch.int64()
            batch.int16(), batch.int32()  # its epoch and sequence
            count = batch.int32()
            assert attributes & 7 == 0, "a compressed batch"
            assert crc32c(batch.data[9:]) == checksum, f"a damaged batch at {base}"
            is_transactional, is_control = attributes & 0x10, attributes & 0x20
            for first, of in waiting:
                if first <= base and (first, of) not in told:
                    told.add((first, of))
                    open_aborted.add(of)
            for _ in range(count):
                record = Reader(batch.take(batch.varint()))
                record.int8(), record.varint()
                at = base + record.varint()
                key, value = record.bytes_by_varint(), record.bytes_by_varint()
                if is_control:
                    if key is not None and struct.unpack(">hh", key[:4])[1] == 0:
                        open_aborted.discard(producer)
                    continue
                if at < offset or (is_transactional and producer in open_aborted):
                    continue
                yield value
            offset = max(offset, base + last + 1)
        assert offset > before, f"partition {partition} stands still at {offset} of {end}"


def crc_of(byte):
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


CRC_TABLE = [crc_of(byte) for byte in range(256)]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


class Queue:
    """A connection to RabbitMQ, and as much of AMQP 0-9-1 as reading a stream takes."""

    METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), TIMEOUT_S)
        self.file = self.socket.makefile("rb")
        self.socket.sendall(b"AMQP\0\0\x09\x01")
        self.due(0, 10, 10)
        self.say(0, 10, 11, struct.pack(">I", 0) + short("PLAIN") + long(b"\0guest\0guest") + short("en_US"))
        limits = self.due(0, 10, 30)
        channels, frame, _heartbeat = struct.unpack(">HIH", limits[:8])
        self.say(0, 10, 31, struct.pack(">HIH", channels, frame, 0))
        self.say(0, 10, 40, short("/") + short("") + b"\0")
        self.due(0, 10, 41)
        self.say(1, 20, 10, short(""))
        self.due(1, 20, 11)

    def say(self, channel, number, method, arguments):
        payload = struct.pack(">HH", number, method) + arguments
        self.socket.sendall(struct.pack(">BHI", self.METHOD, channel, len(payload)) + payload + b"\xce")

    def frame(self):
        while True:
            head = self.file.read(7)
            if len(head) < 7:
                raise EOFError("RabbitMQ closed the connection")
            kind, channel, length = struct.unpack(">BHI", head)
            payload = self.file.read(length)
            assert self.file.read(1) == b"\xce", "no frame of AMQP"
            if kind != self.HEARTBEAT:
                return kind, channel, payload

    def due(self, channel, number, method):
        kind, of, payload = self.frame()
        said = (kind, of) + struct.unpack(">HH", payload[:4])
        assert said == (self.METHOD, channel, number, method), f"{said}: {payload[:200]}"
        return payload[4:]

    def messages(self, queue):
        """Each message of a stream from its first on, without an end: to which exchange it was published, and its body."""
        self.say(1, 60, 10, struct.pack(">IHB", 0, 500, 0))
        self.due(1, 60, 11)
        offset = short("x-stream-offset") + b"S" + long(b"first")
        consume = struct.pack(">H", 0) + short(queue) + short("count") + b"\0" + long(offset)
        self.say(1, 60, 20, consume)
        self.due(1, 60, 21)
        while True:
            delivery = Reader(self.due(1, 60, 60))
            delivery.take(delivery.number("B"))  # the consumer's name
            tag, _again = delivery.number("Q"), delivery.int8()
            exchange = delivery.take(delivery.number("B")).decode()
            kind, _channel, header = self.frame()
            assert kind == self.HEADER, f"a frame of kind {kind}"
            (length,), body = struct.unpack(">Q", header[4:12]), b""
            while len(body) < length:
                kind, _channel, part = self.frame()
                assert kind == self.BODY, f"a frame of kind {kind}"
                body += part
            self.say(1, 60, 80, struct.pack(">QB", tag, 0))
            yield exchange, body


def short(value):
    data = value.encode()
    return struct.pack(">B", len(data)) + data


def long(data):
    return struct.pack(">I", len(data)) + data


def records_of_rabbitmq(address, topic):
    """The value of each record that the exchange brought to the stream that has everything. Its first record and its last
    are the harness's own, and came around the exchange; what was still on its way came before the last."""
    messages = Queue(address).messages(f"{topic}.observer")
    first, _body = next(messages)
    assert first == "", "the first record came over the exchange"
    for exchange, body in messages:
        if exchange == "":
            return
        yield body


class Subjects:
    """A connection to NATS, and its protocol as far as a question to JetStream needs it."""

    INBOX = "count.answers"

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), TIMEOUT_S)
        self.file = self.socket.makefile("rb")
        assert self.file.readline().startswith(b"INFO "), "no server of NATS"
        self.socket.sendall(b'CONNECT {"verbose":false,"lang":"count"}\r\nSUB %s 1\r\n' % self.INBOX.encode())

    def ask(self, subject, question):
        data = json.dumps(question).encode()
        self.socket.sendall(f"PUB {subject} {self.INBOX} {len(data)}\r\n".encode() + data + b"\r\n")
        while True:
            line = self.file.readline()
            if line.startswith(b"PING"):
                self.socket.sendall(b"PONG\r\n")
                continue
            assert line.startswith(b"MSG "), line or "NATS closed the connection"
            answer = json.loads(self.file.read(int(line.split()[-1]) + 2))
            assert "error" not in answer, f"{subject} {question}: {answer['error']}"
            return answer


def records_of_nats(address, topic):
    """The value of each message of the stream, one after the other by its sequence."""
    stream, subjects = topic.replace(".", "_"), Subjects(address)
    state = subjects.ask(f"$JS.API.STREAM.INFO.{stream}", {})["state"]
    assert state["messages"] == state["last_seq"], "some messages are not there any more"
    for sequence in range(1, state["last_seq"] + 1):
        answer = subjects.ask(f"$JS.API.STREAM.MSG.GET.{stream}", {"seq": sequence})
        yield base64.b64decode(answer["message"].get("data", ""))


def records_of_kafka(bootstrap, topic):
    """The value of each record, partition after partition."""
    for partition, address in sorted(partitions_of(bootstrap, topic).items()):
        yield from records_of(Broker(address), topic, partition)


def asked(postgres, sql):
    """Rows of a query, each a list of texts."""
    environment = dict(os.environ, PGPASSWORD=postgres["password"], PGCONNECT_TIMEOUT=str(TIMEOUT_S))
    command = [PSQL, "--no-psqlrc", "--tuples-only", "--no-align", "--field-separator=|", "--set=ON_ERROR_STOP=1"]
    command += ["--host", postgres["host"], "--port", str(postgres["port"]), "--username", postgres["user"]]
    command += ["--dbname", postgres["database"], "--command", sql]
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return [line.split("|") for line in out.splitlines() if line]


class Tables:
    """A session with MariaDB, and its protocol as far as a query takes it."""

    # Of what a client can: the protocol of 4.1, its way to log in, and plugins for that; this one is the server's own.
    CAPABILITIES, PLUGIN, UTF8MB4 = 0x200 | 0x8000 | 0x80000, b"mysql_native_password", 45

    def __init__(self, server):
        self.socket = socket.create_connection((server["host"], server["port"]), TIMEOUT_S)
        self.file = self.socket.makefile("rb")
        greeting = self.packet()
        assert greeting[0] == 10, f"a greeting of version {greeting[0]}"
        behind = greeting.index(b"\0", 1) + 1 + 4  # the server's version, the session's number
        # Between its halves are capabilities, character set and status, and what nobody uses.
        scramble = greeting[behind : behind + 8] + greeting[behind + 27 : behind + 39]
        login = struct.pack("<IIB23x", self.CAPABILITIES, 1 << 24, self.UTF8MB4) + server["user"].encode() + b"\0"
        proof = self.proof(server["password"], scramble)
        self.say(1, login + struct.pack("B", len(proof)) + proof + self.PLUGIN + b"\0")
        answer = self.packet()
        assert answer[0] == 0, f"the log-in came to {answer}"

    @staticmethod
    def proof(password, scramble):
        once = hashlib.sha1(password.encode()).digest()
        mask = hashlib.sha1(scramble + hashlib.sha1(once).digest()).digest()
        return bytes(a ^ b for a, b in zip(once, mask))

    def say(self, number, data):
        self.socket.sendall(struct.pack("<I", len(data))[:3] + struct.pack("B", number) + data)

    def packet(self):
        head = self.file.read(4)
        if len(head) < 4:
            raise EOFError("MariaDB closed the connection")
        data = self.file.read(int.from_bytes(head[:3], "little"))
        assert data[:1] != b"\xff", f"MariaDB says {data[9:].decode()}"
        return data

    def asked(self, sql):
        """Rows of a query, each a list of texts."""
        self.say(0, b"\x03" + sql.encode())
        columns = self.packet()[0]
        for _ in range(columns + 1):  # what they are, and an end
            self.packet()
        while True:
            row, values, at = self.packet(), [], 0
            if row[:1] == b"\xfe" and len(row) < 9:
                return
            for _ in range(columns):
                length = row[at]
                assert length < 251, "a long value, or none"
                values.append(row[at + 1 : at + 1 + length].decode())
                at += 1 + length
            yield values


def committed_of(stack, strategy):
    """Order, version and attempt of all that is committed: in the orders, or in the events where these are the truth."""
    schema, kind, postgres = strategy["schema"], strategy["kind"], stack["postgres"]
    if strategy["orders_in"] == "mariadb":
        sql = f"select order_id, version, attempt from {schema}.order_changes"
        rows = Tables(stack["mariadb"]).asked(sql)
        return {(order, int(version), attempt) for order, version, attempt in rows}
    if kind == "event-sourcing":
        sql = f"select aggregateid, version, attempt from {schema}.events"
        return {(order, int(version), attempt) for order, version, attempt in asked(postgres, sql)}
    sql = f"""select o.id, a.version, a.attempt from {schema}.orders o
              cross join lateral unnest(o.attempts) with ordinality a(attempt, version)"""
    return {(order, int(version), attempt) for order, version, attempt in asked(postgres, sql)}


def events_of(stack, servers, strategy):
    """The same of each event that is on the topic, as often as it is there."""
    broker, topic = strategy["broker"], strategy["topic"]
    if broker == "kafka":
        values = records_of_kafka(stack["kafka"]["bootstrap"], topic)
    elif broker == "rabbitmq":
        values = records_of_rabbitmq(servers["RabbitMQ"], topic)
    else:
        assert broker == "nats", f"a broker called {broker}"
        values = records_of_nats(servers["NATS"], topic)
    events = [json.loads(value) for value in values]
    return [(event["order_id"], event["version"], event["attempt"]) for event in events]


def consumer_of(postgres, schema, valid):
    """What a consumer did: effects without an event, events without an effect, effects beyond the first."""
    sql = f"select order_id, version, attempt from {schema}.effects"
    effects = [(order, int(version), attempt) for order, version, attempt in asked(postgres, sql)]
    done = set(effects)
    counted = {
        "effects": len(effects),
        "unapplied": len(valid - done),
        "applied_twice": len(effects) - len(done),
        "applied_unseen": sum(effect not in valid for effect in effects),
    }
    # What it says that it did, against what it has: a row for each charge.
    tables = {name for (name,) in asked(postgres, f"select tablename from pg_tables where schemaname = '{schema}'")}
    if "charges" in tables:
        [[charges]] = asked(postgres, f"select count(*) from {schema}.charges")
        counted["charges"] = int(charges)
    if "stock" in tables:
        [[reserved]] = asked(postgres, f"select reserved from {schema}.stock")
        counted["charges"] = int(reserved)
    return counted


class Cache:
    """A connection to Redis, and its protocol (RESP) as far as two commands need it."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), TIMEOUT_S)
        self.answers = self.socket.makefile("rb")

    def ask(self, *words):
        parts = [f"*{len(words)}\r\n".encode()]
        parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
        self.socket.sendall(b"".join(parts))
        return self.answer()

    def answer(self):
        line = self.answers.readline()
        assert line.endswith(b"\r\n"), "Redis closed the connection"
        kind, rest = line[:1], line[1:-2]
        assert kind != b"-", rest
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        if kind == b"$":
            length = int(rest)
            return None if length < 0 else self.answers.read(length + 2)[:-2].decode()
        return rest.decode()


def cached_of(address, topic):
    """The version of each order that the cache has a value of. A version without a value is no answer to anybody; what is
    neither is of no version, and answers wrongly whatever is committed."""
    cache, cursor, versions = Cache(address), "0", {}
    while True:
        cursor, keys = cache.ask("SCAN", cursor, "MATCH", f"{topic}:*", "COUNT", "500")
        for key in keys:
            text = cache.ask("GET", key)
            if text is None:
                continue
            version, blank, body = text.partition(" ")
            order = key[len(topic) + 1 :]
            if not (version.isascii() and version.isdigit() and int(version) < 2**32):
                versions[order] = 0
            elif blank:
                told = json.loads(body)
                assert told == {"order_id": order, "version": int(version)}, f"{key}: {version} {body}"
                versions[order] = int(version)
        if cursor == "0":
            return versions


def stale_of(stack, strategy, committed):
    """How many orders the cache would answer in another version than the last; None of a strategy without a cache."""
    if "redis" not in stack or strategy["counts"].get("stale") is None:
        return None
    newest = {}
    for order, version, _attempt in committed:
        newest[order] = max(version, newest.get(order, 0))
    cached = cached_of(stack["redis"]["address"], strategy["topic"])
    return sum(newest.get(order) != version for order, version in cached.items())


def counted(stack, servers, strategy):
    postgres, schema = stack["postgres"], strategy["schema"]
    committed = committed_of(stack, strategy)
    events = events_of(stack, servers, strategy)
    seen = set(events)
    valid = seen & committed
    counts = {
        "committed": len(committed),
        "observed": len(events),
        "unpublished": len(committed - seen),
        "phantom": sum(event not in committed for event in events),
        "duplicated": sum(event in committed for event in events) - len(valid),
        "stale": stale_of(stack, strategy, committed),
        "consumers": {},
    }
    for index, consumer in enumerate(strategy["consumers"]):
        # Each has a schema of its own, numbered in the scenario's order.
        counts["consumers"][consumer["name"]] = consumer_of(postgres, f"{schema}_c{index}", valid)
    return counts


def main():
    with open(sys.argv[1], "rb") as file:
        stack = tomllib.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        record = json.load(file)
    assert crc32c(b"123456789") == 0xE3069283, "the checksum is not Kafka's"
    servers = {server["name"]: server["address"] for server in record["stack"]["others"]}
    strategies = record["strategies"]
    print(json.dumps({strategy["name"]: counted(stack, servers, strategy) for strategy in strategies}, indent=1))


main()
