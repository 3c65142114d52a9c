#!/bin/sh
# The copy at the end marks a complete install, and of which versions.
set -e
python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt
cp requirements.txt .venv/installed.txt
