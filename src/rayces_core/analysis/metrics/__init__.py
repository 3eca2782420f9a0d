"""The metrics, one a module: each a function with a definition."""
