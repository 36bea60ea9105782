"""Agg2Exp: aggregated attributions that explain 3D segmentation models on CT (arXiv 2407.16653)."""

__version__ = "0.1.0"
