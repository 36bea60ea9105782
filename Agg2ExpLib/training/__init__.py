"""Training of segmentation networks whose weights Agg2Exp then explains: data sources, the loop, validation, weights and card."""
