"""Says above each result of a cell which organization is used; in a terminal its prompt does."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

Name = Callable[[], str | None]


def show_in_prompts(shell: Any, name: Name) -> None:
    """From now on have `shell` show what `name()` gives, if it gives any."""
    if getattr(shell, "kernel", None) is not None:
        _show_above(shell, name)
    elif (prompts := getattr(shell, "prompts", None)) is not None and not hasattr(prompts, "rayces_name"):
        kind = type(prompts)
        shell.prompts = type(kind.__name__, (_Naming, kind), {"rayces_name": staticmethod(name)})(shell)


class _Naming:
    """Prompts of a terminal, with the organization in front."""

    rayces_name: Name

    def in_prompt_tokens(self) -> list[Any]:
        """The prompt of a cell."""
        return self._named(super().in_prompt_tokens())  # type: ignore[misc]

    def out_prompt_tokens(self) -> list[Any]:
        """The prompt of a result."""
        return self._named(super().out_prompt_tokens())  # type: ignore[misc]

    def _named(self, tokens: list[Any]) -> list[Any]:
        name = self.rayces_name()
        return tokens if name is None else [(tokens[0][0], f"{name} "), *tokens]


def _show_above(shell: Any, name: Name) -> None:
    hook = shell.displayhook
    write = hook.write_output_prompt
    if getattr(write, "is_rayces", False):
        return

    def named() -> Any:
        used = name()
        if used is not None:
            shell.display_pub.publish({"text/plain": f"[{used}]", "text/html": _banner(used)})
        return write()

    named.is_rayces = True  # type: ignore[attr-defined]
    hook.write_output_prompt = named


def _banner(name: str) -> str:
    return f'<small style="opacity: .7">{html.escape(name)}</small>'
