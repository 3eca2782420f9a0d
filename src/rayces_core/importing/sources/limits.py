"""How large a sheet may be."""

from typing import Final

MAX_CELLS: Final = 25_000_000
MAX_ROWS: Final = 1_048_576
MAX_SHEET_COLUMNS: Final = 16_384
MAX_TEXT_BYTES: Final = 1024**3
MAX_MERGED: Final = 100_000
ADVICE: Final = "keep the rows to be imported in a new sheet, or save it as CSV"
