"""The Python API behind ``import Agg2ExpLib``: one function or class a file, for notebooks and scripts."""
