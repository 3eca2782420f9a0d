"""What is imported loads only what it is for, and says which extra is missing."""

import json
import subprocess
import sys

import pytest

from tests.walking import walked

pytestmark = pytest.mark.slow

FRAMEWORKS = ("anyio", "django", "fastapi", "flask", "jwt", "starlette", "werkzeug")
PARTS = "import rayces_core.integrations.problems, rayces_core.integrations.tenants, rayces_core.integrations.wsgi"

# Which module a program imports → which others it must not have loaded by that.
LOADED = {
    PARTS: FRAMEWORKS,
    "import rayces_core.integrations.flask": ("fastapi", "anyio"),
    "import rayces_core.integrations.fastapi": ("flask", "werkzeug"),
}
LACKING = [
    ("fastapi", "fastapi", "fastapi"),
    ("flask", "flask", "flask"),
    ("asgi", "anyio", "fastapi"),
    ("flask", "jwt", "sign-in"),
    ("telemetry", "opentelemetry", "telemetry"),
]

# A program of its own for each piece of code, forked from one that has loaded the parts without a framework.
EACH_BY_ITSELF = f"""
import json, os, sys, traceback
{PARTS}

def said(code):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 1)
        try:
            exec(code, {{}})
        except BaseException:
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        printed = pipe.read()
    os.waitpid(child, 0)
    return printed.strip()

print(json.dumps([said(code) for code in json.load(sys.stdin)]))
"""


def loading(imports, kept_out):
    return f"import sys; {imports}; print([m for m in {kept_out} if m in sys.modules])"


def importing(module, lacking):
    return f"""
import sys
sys.modules[{lacking!r}] = None
try:
    import rayces_core.integrations.{module}
except Exception as error:
    print(type(error).__name__, error, error.__cause__, error.__suppress_context__)
"""


@pytest.fixture(scope="module")
def said():
    """What each program prints."""
    codes = [loading(*each) for each in LOADED.items()] + [importing(*each[:2]) for each in LACKING]
    command = [sys.executable, "-c", EACH_BY_ITSELF]
    done = subprocess.run(command, input=json.dumps(codes), capture_output=True, text=True, check=True)
    return dict(zip(codes, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize(("imports", "kept_out"), LOADED.items(), ids=["no framework", "flask", "fastapi"])
def test_a_part_loads_no_framework_but_its_own(said, imports, kept_out):
    assert said[loading(imports, kept_out)] == "[]"


@pytest.mark.slow
@walked(("module", "lacking", "extra"), LACKING)
def test_a_missing_extra_is_told_in_one_sentence(said, module, lacking, extra):
    told = said[importing(module, lacking)]
    assert told.startswith("MissingExtraError ")
    assert f"pip install 'rayces-core[{extra}]'" in told
    assert told.endswith("None True")
