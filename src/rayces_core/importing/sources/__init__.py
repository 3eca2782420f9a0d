"""Where records come from: files of several formats, data frames and iterables, all read as rows under one header."""

from rayces_core.importing.sources.opening import open_source
from rayces_core.importing.sources.source import Row, Source

__all__ = ["Row", "Source", "open_source"]
