#!/usr/bin/env bash
# Installs what the tests need into .venv beside this checkout and runs linters, type checker and all tests.
set -euo pipefail
cd "$(dirname "$0")/.."

# Slice views are rendered through EGL, in software where there is no GPU.
if [ "$(uname)" = Linux ] && ! ldconfig -p | grep -q libEGL.so.1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq libegl1 libgl1-mesa-dri
  else
    echo "Please install EGL first: sudo apt-get install libegl1 libgl1-mesa-dri" >&2
    exit 1
  fi
fi

[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet -c constraints.txt -e ".[views,test]"
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/python -m pytest "$@"
