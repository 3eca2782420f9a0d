"""`rayces completion bash | zsh | fish`."""

from __future__ import annotations

import click

from rayces_core.cli.options import debug_option

VARIABLE = "_RAYCES_COMPLETE"


@click.command(
    epilog="""\b
Examples:
  rayces completion bash > ~/.local/share/bash-completion/completions/rayces
  rayces completion zsh > "${fpath[1]}/_rayces"
  rayces completion fish > ~/.config/fish/completions/rayces.fish"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@debug_option
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    With it, SHELL completes commands and options on Tab.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"{shell} is not supported by click")
    root = context.find_root()
    click.echo(kind(root.command, {}, "rayces", VARIABLE).source())
