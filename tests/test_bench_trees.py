"""The benchmark of two trees runs: a process with the library of a folder does and times each operation."""

import shutil

import click
import pytest
from bench.trees import CHECKOUT, OPERATIONS, running, samples, source_of


@pytest.mark.slow
def test_each_operation_is_done_by_the_library_of_the_tree(tmp_path):
    shutil.copytree(CHECKOUT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    with running(tmp_path / "src") as tree:
        assert tree.library == str(tmp_path / "src" / "rayces_core" / "__init__.py")
        assert all(tree.seconds(operation) > 0 for operation in OPERATIONS)
        assert len(samples(tree, tree, "debit", 2)) == 2
        with pytest.raises(click.ClickException, match="has ended"):
            tree.seconds("no operation")


@pytest.mark.slow
def test_what_is_no_commit_is_refused():
    with pytest.raises(click.BadParameter), source_of("no-such-commit"):
        pass
