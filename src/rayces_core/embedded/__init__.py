"""A real PostgreSQL from a wheel, started and stopped with the processes that use it."""

from rayces_core.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer"]
