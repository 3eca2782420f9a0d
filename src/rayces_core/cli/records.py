"""Commands about record types, whose names are taken for commands: `import students` is `import records students`."""

from __future__ import annotations

import click


class RecordsGroup(click.Group):
    """A group whose command `records` may be left out."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; any other word begins the arguments of `records`."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["records", *args]
        return super().resolve_command(ctx, args)
