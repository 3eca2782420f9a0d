"""docs/deploy.md: its manifests are what kubectl understands, and its commands do what the page says."""

import copy
import json
import re
import shutil
import subprocess
import time
import uuid
from pathlib import Path

import click
import psycopg2
import pytest
import yaml
from psycopg2.extensions import make_dsn

from rayces_core.cli import entry, run
from rayces_core.cli.migrating.running import _STYLES
from rayces_core.cli.options import Settings
from rayces_core.cli.root import rayces
from rayces_core.migrating.files import read_directory
from tests.cli.process import environment, start
from tests.conftest import on_server
from tests.patience import wait_until
from tests.walking import walked

PAGE = (Path(__file__).parent.parent / "docs" / "deploy.md").read_text("utf-8")
MANIFESTS = {
    (each["kind"], each["metadata"]["name"]): each
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for each in yaml.safe_load_all(block)
}
UP, DOWN = MANIFESTS["Job", "clinic-migrate-up"], MANIFESTS["Job", "clinic-migrate-down"]
DEPLOYMENT, SECRET = MANIFESTS["Deployment", "clinic"], MANIFESTS["Secret", "clinic-database"]
WORKLOADS = [UP, DEPLOYMENT, DOWN]
KUBECTL = shutil.which("kubectl")

with_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed here")


def containers(manifest):
    pod = manifest["spec"]["template"]["spec"]
    return [*pod.get("initContainers", ()), *pod["containers"]]


def commands():
    """Every rayces command of the page: in manifests, in console lines, in sentences."""
    written = [container["command"] for each in WORKLOADS for container in containers(each) if "command" in container]
    spoken = [line.split() for line in re.findall(r"`(rayces [^`]*)`", PAGE)]
    return [*written, *map(json.loads, re.findall(r'`(\["rayces".*?\])`', PAGE)), *spoken]


def name_of(value):
    return " ".join(value) if isinstance(value, list) else value["metadata"]["name"]


# -- what the manifests say -----------------------------------------------------------------------------------


@walked("words", commands(), ids=name_of)
def test_every_command_exists_with_its_options(words):
    command, rest = rayces, words[1:]
    while isinstance(command, click.Group):
        command, rest = command.get_command(click.Context(command), rest[0]), rest[1:]
        assert command is not None, words
    command.make_context(words[-1], list(rest), obj=Settings())


@pytest.mark.parametrize("manifest", WORKLOADS, ids=name_of)
def test_no_container_may_more_than_it_needs(manifest):
    assert manifest["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    assert manifest["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    for container in containers(manifest):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("manifest", WORKLOADS, ids=name_of)
def test_the_url_comes_from_the_secret_and_nothing_else_does(manifest):
    for container in containers(manifest):
        (url,) = [each for each in container["env"] if each["name"] == "RAYCES_DATABASE_URL"]
        reference = url["valueFrom"]["secretKeyRef"]
        assert reference["name"] == SECRET["metadata"]["name"]
        assert reference["key"] == ("application-url" if container["name"] == "clinic" else "owner-url")
        assert reference["key"] in SECRET["stringData"]
        assert not any("postgresql://" in word for word in container.get("command", ()))


@pytest.mark.parametrize("manifest", [UP, DOWN], ids=name_of)
def test_a_job_ends_and_does_not_repeat_what_cannot_help(manifest):
    spec = manifest["spec"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["backoffLimit"] > 0
    assert spec["activeDeadlineSeconds"] > 0
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] in [container["name"] for container in containers(manifest)]
    assert rule["onExitCodes"]["values"] == [entry.USAGE]


def test_every_exit_code_and_every_state_is_on_the_page():
    codes = set(map(int, re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)))
    assert codes >= {0, 1, entry.USAGE, entry.DATABASE, entry.INTERRUPTED}
    ways_back = PAGE.partition("## The way back")[2].partition("\n## ")[0]
    assert [state for state in _STYLES if state not in ways_back] == []


# -- what kubectl makes of them -------------------------------------------------------------------------------


def decoded(manifest):
    """The manifest as kubectl's own types hold it, and what it says when it cannot; needs no cluster."""
    command = [KUBECTL, "set", "env", "--local", "--dry-run=client", "-o", "json", "-f", "-", "CHECKED=yes"]
    done = subprocess.run(command, input=yaml.safe_dump(manifest), capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def lost(wanted, found, path=""):
    """Paths of what `wanted` has and `found` has not."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [each for key in wanted for each in lost(wanted[key], found.get(key), f"{path}.{key}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) <= len(found):
        return [each for n, value in enumerate(wanted) for each in lost(value, found[n], f"{path}[{n}]")]
    return [] if wanted == found else [path]


@pytest.mark.slow
@with_kubectl
@pytest.mark.parametrize("manifest", WORKLOADS, ids=name_of)
def test_kubectl_knows_every_field(manifest):
    assert lost(manifest, decoded(manifest)) == []


@pytest.mark.slow
@with_kubectl
def test_kubectl_notices_what_it_does_not_know():
    misspelt, wrong = copy.deepcopy(UP), copy.deepcopy(UP)
    misspelt["spec"]["backofLimit"] = misspelt["spec"].pop("backoffLimit")
    misspelt["spec"]["template"]["spec"]["activeDeadLine"] = 5
    assert lost(misspelt, decoded(misspelt)) == [".spec.template.spec.activeDeadLine", ".spec.backofLimit"]
    wrong["spec"]["activeDeadlineSeconds"] = "an hour"
    assert "cannot unmarshal" in decoded(wrong)


# -- what the commands do -------------------------------------------------------------------------------------


@pytest.fixture
def missing(server_url):
    """The URL of a database that is not there."""
    name = f"rayces_test_{uuid.uuid4().hex[:12]}"
    yield make_dsn(server_url, dbname=name)
    on_server(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def started(manifest, url, **variables):
    """The first container's command, as a process with its environment."""
    container = containers(manifest)[0]
    values = {each["name"]: each.get("value", url) for each in container["env"]} | variables
    return start(*container["command"][1:], env=environment(**values))


@pytest.fixture
def ended(monkeypatch):
    """Run the first container's command in this process, with its environment; gives its exit code."""

    def run_it(manifest, url):
        container = containers(manifest)[0]
        with monkeypatch.context() as changed:
            for each in container["env"]:
                changed.setenv(each["name"], each.get("value", url))
            return run(container["command"][1:])

    return run_it


@pytest.mark.exhaustive
def test_the_manifests_lead_from_nothing_to_a_schema_and_back(missing, ended):
    """`make test` keeps each command of the page by itself."""
    assert ended(DEPLOYMENT, missing) == entry.DATABASE
    both = [started(UP, missing), started(UP, missing)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    outputs = [output for output, _ in said]
    names = [file.name for file in read_directory(None)]
    assert sorted(re.findall(r"^applied (.*)$", "".join(outputs), re.MULTILINE)) == names
    assert "".join(outputs).count("created database") == 1
    assert ended(DEPLOYMENT, missing) == 0
    assert ended(DOWN, missing) == 0
    assert ended(DEPLOYMENT, missing) == 1


def test_down_leads_to_a_migration_that_is_there():
    assert 0 < int(containers(DOWN)[0]["command"][-1]) < len(read_directory(None))


@pytest.mark.slow
def test_a_pod_of_an_older_version_starts_while_the_newer_schema_is_there(own_db, ended):
    newer = "INSERT INTO rayces_migrations (name, checksum, state, version) VALUES ('999_newer', '', 'applied', '')"
    on_server(own_db.url, newer)
    assert ended(DEPLOYMENT, own_db.url) == 0
    assert run(["migrate", "status", "--database-url", own_db.url]) == 1
    assert ended(UP, own_db.url) == entry.DATABASE
    on_server(own_db.url, newer.replace("999_newer", "003_another"))
    assert ended(DEPLOYMENT, own_db.url) == 1


@pytest.mark.slow
def test_the_server_notices_that_a_pod_is_gone(missing, tmp_path):
    (tmp_path / "001_long.py").write_text(
        "ATOMIC = False\nSTATEMENT_TIMEOUT_MS = 0\n"
        "def migrate(migrator, database, *, fake=False):\n    migrator.sql('SELECT pg_sleep(600)')\n"
    )
    (setting,) = [each["value"] for each in containers(UP)[0]["env"] if each["name"] == "PGOPTIONS"]
    variables = environment(RAYCES_DATABASE_URL=missing, PGOPTIONS=setting.replace("10s", "200ms"))
    own = ("--directory", str(tmp_path), "--only", "own", "--history-table", "own_migrations")
    process = start("migrate", "up", "--create-database", *own, env=variables)
    watcher = waiting_for("SELECT pg_sleep(600)", missing, process)
    process.kill()
    process.communicate()
    wait_until(lambda: not watcher())


def waiting_for(statement, url, process):
    """A question whether the server is at a statement, once it is."""

    def is_at_it():
        connection = psycopg2.connect(url)
        try:
            cursor = connection.cursor()
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE query = %s AND state = 'active'", (statement,))
            return cursor.fetchone() != (0,)
        finally:
            connection.close()

    while process.poll() is None:
        try:
            if is_at_it():
                return is_at_it
        except psycopg2.OperationalError:  # the database is not there yet
            pass
        time.sleep(0.05)
    raise AssertionError(process.communicate())
