#!/bin/sh
# Make the virtual environment $1 with the interpreter $PYTHON, or say what is missing.
set -eu
venv=$1
python=${PYTHON:-python3}

command -v "$python" >/dev/null || {
    echo "error: there is no $python; shelf-edge needs Python 3.11 or newer (PYTHON=/path/to/python make …)" >&2
    exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "error: $("$python" --version) is too old; shelf-edge needs Python 3.11 or newer (PYTHON=python3.11 make …)" >&2
    exit 1
}
# Debian ships venv without ensurepip: `python3 -m venv` then fails half-way.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    "$(dirname "$0")/system-packages.sh" venv
fi
if ! "$python" -m venv "$venv"; then
    rm -rf "$venv"
    echo "error: $python -m venv does not work here; on Debian: apt install python3-venv" >&2
    exit 1
fi
