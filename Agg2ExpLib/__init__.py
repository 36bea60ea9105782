"""Agg2Exp: aggregated attributions that explain 3D segmentation models on CT (arXiv 2407.16653)."""

from .version import __version__

__all__ = ["__version__"]
