"""Parts of the Agg2Exp panel: one class or one idea a file."""
