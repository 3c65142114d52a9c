#!/usr/bin/env python3
"""Makes docs/demo.svg of a recording of the demo:

    outbox-harness demo --script --record demo.cast
    docs/demo_picture.py demo.cast docs/demo.svg

A picture an order of magnitude smaller than the recording: a frame each 0.75 s, from a second before
the load on, and the end stays for eight seconds. svg-term-cli, from npm, draws it.
"""

import json
import os
import subprocess
import sys
import tempfile

FRAME_S = 0.75
BEFORE_LOAD_S = 1.0
PAUSE_MAX_S = 2.0
END_S = 8.0


def frames(events):
    """What is written within each frame, as one event."""
    begin = next(t for t, _, text in events if "under load" in text) - BEFORE_LOAD_S
    written = {}
    for t, _, text in events:
        at = max(0, int((t - begin) / FRAME_S)) * FRAME_S
        written[at] = written.get(at, "") + text
    now = last = 0.0
    for at, text in written.items():
        now += min(at - last, PAUSE_MAX_S)
        last = at
        yield [round(now, 2), "o", text]
    yield [round(now + END_S, 2), "o", " "]


def main(cast, picture):
    with open(cast) as recorded:
        head, *events = [json.loads(line) for line in recorded]
    with tempfile.NamedTemporaryFile("w", suffix=".cast") as slow:
        for line in [head, *frames(events)]:
            print(json.dumps(line), file=slow, flush=True)
        draw = ["npx", "--yes", "svg-term-cli@2.1.1", "--in", slow.name, "--out", picture]
        size = ["--width", str(head["width"]), "--height", str(head["height"])]
        subprocess.run(draw + size + ["--window", "--no-cursor", "--no-optimize"], check=True)
    with open(picture) as drawn:
        text = drawn.read()
    # Columns are made of spaces, and runs are where this was called, on whatever machine.
    text = text.replace("<style>", "<style>text{white-space:pre}", 1).replace(os.getcwd() + "/", "")
    with open(picture, "w") as drawn:
        drawn.write(text)


main(*sys.argv[1:])
