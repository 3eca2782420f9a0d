"""The database below the models: connections, sessions, transactions, and the tenant inside every message."""
