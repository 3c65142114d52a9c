"""The same service without an outbox: it commits, and then publishes. Whatever stops it in between, or the broker from
answering, the event is gone. It is here to be caught."""

from confluent_kafka import Producer

import json
import service


class DualWrite(service.Orders):
    def __init__(self, pool):
        super().__init__(pool)
        self.producer = Producer({**service.KAFKA, "message.timeout.ms": 500})

    def announce(self, db, event):
        """Nothing is kept."""

    def committed(self, event):
        self.producer.produce(service.TOPIC, key=event["order_id"], value=json.dumps(event))
        self.producer.poll(0)


service.serve(DualWrite)
