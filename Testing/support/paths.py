"""Where things lie, for every suite."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTING = ROOT / "Testing"
MODULE_FOLDER = ROOT / "Agg2ExpModule"
# Real CTs and label maps, beside the checkout; tests that need them skip where they are not.
DATA = ROOT.parent / "shared" / "data"
PUBLISHED = DATA / "agg2exp" / "tsv2_test_aggregated_sg_explanations_with_dice.csv"
