"""The command `rayces`.

Nothing heavy is imported before a command needs it, so that `--help` and completion are quick.
"""

from rayces_core.cli.entry import main, run

__all__ = ["main", "run"]
