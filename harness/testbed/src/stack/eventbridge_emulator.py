"""moto's EventBridge and SQS on one port, as a stack needs them: python eventbridge_emulator.py PORT NAME ONE_IN

What it adds to moto:
  - Calls are done one after the other. moto's threads share lists that they replace: an event that comes while another
    one is deleted from the queue can be lost, which would look like a loss of the system under test.
  - GET /outbox-harness says which server this is, by the name that it was started with, and moto's version.
  - Of ONE_IN events of a bus one is refused with ThrottlingException in an answer with status 200, as EventBridge does where a
    quota is used up; with 0 none is.
"""

import io
import json
import sys
import threading

import moto
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

HELLO = "/outbox-harness"
PUT_EVENTS = "AWSEvents.PutEvents"
# More than any call may have, with all that JSON puts around it.
BODY_BYTES_MAX = 8 * 1024 * 1024
# Somebody who says nothing for so long has gone.
SILENCE_S = 60
THROTTLED = {
    "ErrorCode": "ThrottlingException",
    "ErrorMessage": "Rate exceeded (by the emulator, as the scenario asks)",
}


class Emulator:
    def __init__(self, name, one_in):
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.hello = json.dumps({"name": name, "version": moto.__version__}).encode()
        self.one_in = one_in
        self.events_by_bus = {}
        self.one_at_a_time = threading.Lock()

    def __call__(self, environ, start_response):
        if environ.get("PATH_INFO") == HELLO:
            return answer(start_response, "200 OK", self.hello)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > BODY_BYTES_MAX:
            return answer(start_response, "413 Request Entity Too Large", b"{}")
        # A client that is slow keeps nobody from being served.
        body = environ["wsgi.input"].read(length)
        with self.one_at_a_time:
            if self.one_in and environ.get("HTTP_X_AMZ_TARGET") == PUT_EVENTS:
                status, headers, said = self.put_events(environ, body)
            else:
                status, headers, said = self.asks_moto(environ, body)
        start_response(status, headers)
        return [said]

    def asks_moto(self, environ, body):
        """What moto makes of a call with this body: status, headers and body of its answer."""
        begun = {}

        def start_response(status, headers, exc_info=None):
            begun.update(status=status, headers=headers)

        environ = dict(environ)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        parts = self.moto(environ, start_response)
        try:
            said = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return begun["status"], begun["headers"], said

    def put_events(self, environ, body):
        """A call of which moto gets the events that are not refused."""
        call = json.loads(body)
        entries = call.get("Entries", [])
        refused = [self.refuses(entry.get("EventBusName")) for entry in entries]
        if not any(refused):
            return self.asks_moto(environ, body)
        rest = [entry for entry, no in zip(entries, refused) if not no]
        if rest:
            call["Entries"] = rest
            status, headers, said = self.asks_moto(environ, json.dumps(call).encode())
            if not status.startswith("200"):
                return status, headers, said
            told = iter(json.loads(said)["Entries"])
        else:
            status, headers, told = "200 OK", [], iter(())
        results = [THROTTLED if no else next(told) for no in refused]
        said = json.dumps(
            {
                "FailedEntryCount": sum("ErrorCode" in result for result in results),
                "Entries": results,
            }
        ).encode()
        return "200 OK", of_length(said), said

    def refuses(self, bus):
        events = self.events_by_bus.get(bus, 0) + 1
        self.events_by_bus[bus] = events
        return events % self.one_in == 0


def of_length(body):
    return [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("Content-Length", str(len(body))),
    ]


def answer(start_response, status, body):
    start_response(status, of_length(body))
    return [body]


class Handler(WSGIRequestHandler):
    timeout = SILENCE_S

    def log_request(self, code="-", size="-"):
        """A line for each call would be most of the log."""


def main():
    port, name, one_in = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    emulator = Emulator(name, one_in)
    run_simple("127.0.0.1", port, emulator, threaded=True, request_handler=Handler)


if __name__ == "__main__":
    main()
