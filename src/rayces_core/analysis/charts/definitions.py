"""The sentence that says what a metric counts: the metric's own in English, and the one of words.toml in Spanish."""

from __future__ import annotations

from importlib import import_module

from rayces_core.analysis.writing import Writing


def definition_of(metric: str, writing: Writing) -> str:
    """What `analysis.{metric}` counts, in a sentence."""
    if writing.language != "en":
        return writing.word(f"definition.{metric}")
    # By name: charts draw frames, and a metric loads models and the database.
    text: str = getattr(import_module("rayces_core.analysis"), metric).definition.text
    return text
