#!/usr/bin/env bash
# On a machine with a CUDA GPU: the comparison at full size (the paper's network on a whole thorax at 1.5 mm), precision, and
# table 1 with the settings of the paper (demo weights, two public scans). Writes its tables to benchmarks/RESULTS.md. Needs the project installed (pip install '.[test]') with a CUDA build of torch.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else "no CUDA GPU that PyTorch can use")'
python3 benchmarks/compare.py --device cuda:0 --network 48 --roi 96 --shape 240,200,220 --samples 20 --labels 1,4,17 \
  --section "GPU: three ways to the same maps, full size" "$@"
python3 benchmarks/precision.py --device cuda:0 --network 48 --roi 96 --section "GPU: precision"
python3 benchmarks/table1.py --section "Table 1: attribution methods measured, full settings"
cache="$(mktemp -d)"
trap 'rm -rf "$cache"' EXIT
python3 benchmarks/convergence.py --device cuda:0 --pairs 512 --cache "$cache" --section "GPU: convergence of the importance"
