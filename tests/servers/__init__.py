"""PostgreSQL servers of every version that the library supports: where their binaries are, and how one runs."""
