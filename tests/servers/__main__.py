"""The database's part of the suite on one PostgreSQL after another.

    python -m tests.servers [VERSION ...] [options of pytest]

Every version has to pass; one whose binaries cannot be had counts as failed, and says why.
"""

import os
import subprocess
import sys

from tests.servers.binaries import VERSIONS, NoBinariesError, fetched

# What sends SQL to a server; the rest of the suite does not see which one it is. tests/doctor breaks a server in words
# that 15 does not know, and takes a 15 for itself where that matters.
ROOMS = (
    "analysis", "cells", "credits", "database", "exporting", "fields", "importing", "migrating", "migrations", "models",
    "outbox", "scheduling", "servers", "sign_in", "state_machine", "tenancy",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run it on the versions that are named, or on all; returns how many failed."""
    chosen = [argument for argument in arguments if argument in VERSIONS] or list(VERSIONS)
    options = [argument for argument in arguments if argument not in VERSIONS]
    results = {version: _run(version, options) for version in chosen}
    for version, result in results.items():
        print(f"PostgreSQL {version}: {result or 'passed'}")
    return sum(1 for result in results.values() if result)


def _run(version: str, options: list[str]) -> str:
    try:
        fetched(version)
    except NoBinariesError as error:
        return str(error)
    print(f"-- PostgreSQL {version}", flush=True)
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "worksteal", "-q", "-m", "not exhaustive"]
    command += [f"tests/{room}" for room in ROOMS]
    done = subprocess.run([*command, *options], check=False, env={**os.environ, "RAYCES_TEST_POSTGRESQL": version})
    return f"failed, pytest's exit code is {done.returncode}" if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
