"""What is imported loads only what it is for, and says which extra is missing."""

import subprocess
import sys

import pytest

FRAMEWORKS = ("anyio", "django", "fastapi", "flask", "jwt", "starlette", "werkzeug")


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_parts_without_framework_load_none():
    parts = "import rayces_core.integrations.problems, rayces_core.integrations.tenants, rayces_core.integrations.wsgi"
    assert run(f"import sys; {parts}; print([m for m in {FRAMEWORKS} if m in sys.modules])") == "[]"
    flask = "import rayces_core.integrations.flask"
    assert run(f"import sys; {flask}; print([m for m in ('fastapi', 'anyio') if m in sys.modules])") == "[]"
    fastapi = "import rayces_core.integrations.fastapi"
    assert run(f"import sys; {fastapi}; print([m for m in ('flask', 'werkzeug') if m in sys.modules])") == "[]"


@pytest.mark.parametrize(
    ("module", "lacking", "extra"),
    [
        ("fastapi", "fastapi", "fastapi"),
        ("flask", "flask", "flask"),
        ("asgi", "anyio", "fastapi"),
        ("flask", "jwt", "sign-in"),
        ("telemetry", "opentelemetry", "telemetry"),
    ],
)
def test_a_missing_extra_is_told_in_one_sentence(module, lacking, extra):
    code = f"""
import sys
sys.modules[{lacking!r}] = None
try:
    import rayces_core.integrations.{module}
except Exception as error:
    print(type(error).__name__, error, error.__cause__, error.__suppress_context__)
"""
    said = run(code)
    assert said.startswith("MissingExtraError ")
    assert f"pip install 'rayces-core[{extra}]'" in said
    assert said.endswith("None True")
