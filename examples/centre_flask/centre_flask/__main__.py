"""`python -m centre_flask [command …]`: the demo's two centres on a server of their own, and what serves them."""

import os
import subprocess
import sys

from rayces_core import demo


def main() -> int:
    """Run Flask's own server, or the command that was given, until Ctrl-C."""
    port = int(os.environ.get("PORT", "8001"))
    with demo.started(os.environ.get("CENTRE_DATA"), password="correct horse battery") as trial:
        secret = os.environ.get("CENTRE_SECRET") or trial.secret("tokens")
        print(f"\n{trial.sign_ins(port)}\nStop with Ctrl-C.\n", flush=True)
        command = sys.argv[1:] or ["-m", "flask", "--app", "centre_flask.app", "run", "--port", str(port)]
        line = command if sys.argv[1:] else [sys.executable, *command]
        server = subprocess.Popen(line, env=os.environ | trial.variables() | {"CENTRE_SECRET": secret})  # noqa: S603
        try:
            return server.wait()
        except KeyboardInterrupt:  # the terminal has told the server too
            return server.wait()


sys.exit(main())
