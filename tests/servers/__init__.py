"""PostgreSQL servers of every version that the library supports, for tests: where their binaries are, and how one runs."""
