"""Training of networks whose weights Agg2Exp then explains: tasks, data sources, the loop, validation, weights and card."""
