#!/usr/bin/env bash
# On a machine with a CUDA GPU: what the library takes there, and whether it says the same as on the CPU, in parts of 15 to 60 s.
#   bash benchmarks/gpu.sh [--output DIR] [--parts exactness,compare,…] [--smoke]
# The tables go to DIR/gpu.md, everything else that is said to DIR/gpu.log; `python benchmarks/sections.py DIR/gpu.md` takes them over
# into RESULTS.md, which a run without --output does by itself. Table 1 and the convergence take long and run only when named. Needs
# PyTorch for CUDA, MONAI, nibabel and captum; not SimpleITK.
set -uo pipefail
cd "$(dirname "$0")/.."
output="" smoke="" parts="exactness,agreement,precision,batches,classifiers,compare,captum,memory"
while [ $# -gt 0 ]; do
  case "$1" in
    --output) output="$2"; shift 2 ;;
    --parts) parts="$2"; shift 2 ;;
    --smoke) smoke="--smoke"; shift ;;
    *) echo "gpu.sh: unknown option $1" >&2; exit 2 ;;
  esac
done
[ -n "$smoke" ] || python3 -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else "no CUDA GPU that PyTorch can use")' || exit 2
kept="$output"
[ -n "$output" ] || output="$(mktemp -d)"
mkdir -p "$output"

part() { # NAME SECONDS HEADING SCRIPT OPTION…: one part in its time; the others go on where it fails
  local name="$1" limit="$2" heading="$3" script="$4" began="$SECONDS" made="$output/$1.part" said="$output/$1.said"
  shift 4
  case ",$parts," in *",$name,"*) ;; *) return ;; esac
  if timeout -k 5 "$limit" python3 "benchmarks/$script.py" "$@" $smoke >"$made" 2>"$said"; then
    { printf '## %s\n\n' "$heading"; cat "$made"; printf '\n'; } | tee -a "$output/gpu.md"
  else
    tail -n 5 "$said"
    echo "$name" >>"$output/failed.part"
    cat "$made" >>"$said"
  fi
  { echo "== $name"; cat "$said"; } >>"$output/gpu.log"
  echo "($name: $((SECONDS - began)) s)"
}

# What is not timed goes side by side.
part exactness 90 "GPU: exactness" exactness --device cuda:0 --cases 12 &
part agreement 90 "GPU: agreement with the CPU" device_agreement --device cuda:0 &
wait
part precision 90 "GPU: precision" precision --device cuda:0 --network 48 --roi 96 --samples 2 --spacing 4
part batches 90 "GPU: window batches" window_batches --device cuda:0 --network 48 --roi 96 --labels 2
part classifiers 60 "GPU: classifiers" classifier_memory --device cuda:0
part compare 200 "GPU: three ways to the same maps, full size" compare --device cuda:0 --network 48 --roi 96 --shape 240,200,220 \
  --spacing 4 --samples 2 --labels 17 --schemes ours,ours-float32,paper,captum --limit 40
part captum 90 "GPU: three ways to the same maps, a grid that fits all of them" compare --device cuda:0 --network 48 --roi 96 \
  --shape 168,168,96 --spacing 4 --samples 4 --labels 1,4 --schemes ours,ours-float32,paper,captum --limit 20
part memory 120 "GPU: a card that others fill" full_card --device cuda:0
part table1 7200 "Table 1: attribution methods measured, full settings" table1
part convergence 7200 "GPU: convergence of the importance" convergence --device cuda:0 --pairs 512 --cache "$output/convergence"

failed="$(cat "$output/failed.part" 2>/dev/null | tr '\n' ' ')"
rm -f "$output"/*.part "$output"/*.said
[ -n "$kept" ] || python3 benchmarks/sections.py "$output/gpu.md"
[ -z "$failed" ] || { echo "gpu.sh: these parts failed: $failed(see $output/gpu.log)" >&2; exit 1; }
