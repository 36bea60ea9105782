#!/usr/bin/env bash
# Installs what the tests need into .venv beside this checkout and runs linters, type checker and all tests.
set -euo pipefail
cd "$(dirname "$0")/.."

# Slice views are rendered through EGL, in software where there is no GPU; Qt's widgets are drawn without a screen.
if [ "$(uname)" = Linux ]; then
  packages=() libraries=$(ldconfig -p)
  for pair in libEGL.so.1:libegl1 libGL.so.1:libgl1 libxkbcommon.so.0:libxkbcommon0 libdbus-1.so.3:libdbus-1-3 \
    libfontconfig.so.1:libfontconfig1 libglib-2.0.so.0:libglib2.0-0; do
    [[ $libraries == *"${pair%%:*}"* ]] || packages+=("${pair##*:}")
  done
  if [ ${#packages[@]} -gt 0 ]; then
    if [[ $libraries != *libEGL.so.1* ]]; then packages+=(libgl1-mesa-dri); fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      apt-get update -qq && apt-get install -y -qq "${packages[@]}"
    else
      echo "Please install first: sudo apt-get install ${packages[*]}" >&2
      exit 1
    fi
  fi
fi
export QT_QPA_PLATFORM=offscreen

[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet -c constraints.txt -e ".[views,train,cohort,dicom,test,docs]"
# The networks of nnU-Net, without the vision transformers' packages that it also names and nothing here uses.
.venv/bin/python -m pip install --quiet -c constraints.txt --no-deps dynamic-network-architectures
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/lint-imports --no-logo
# The type checker takes one core for most of a minute the first time: it runs beside the tests, and gives way to them.
told=$(mktemp)
nice .venv/bin/mypy >"$told" 2>&1 &
types=$!
trap 'kill "$types" 2>/dev/null || true; rm -f "$told"' EXIT
# One thread of torch for each process: two processes that share the cores slow each other down otherwise.
export OMP_NUM_THREADS=1
status=0
# In the order of the folders: sorted by how many tests they have, the long groups of few tests would come last, one process idle.
.venv/bin/python -m pytest -n auto --dist loadgroup --no-loadscope-reorder "$@" || status=$?
wait "$types" || status=1
cat "$told"
exit "$status"
