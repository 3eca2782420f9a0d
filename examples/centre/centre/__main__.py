"""`python -m centre`: an embedded database with the demo's two centres, the pages, and a relay for the messages."""

import os
import secrets
import threading

import uvicorn

from rayces_core import Database, User, sign_in
from rayces_core.demo import load_centres

PASSWORD = "correct horse battery"


def main() -> None:
    """Start everything, say where it is and who may sign in, and stop it all with Ctrl-C."""
    port = int(os.environ.get("PORT", "8000"))
    with Database.embedded(os.environ.get("CENTRE_DATA")) as db:
        db.migrate()
        organizations = load_centres(db)
        for organization in organizations:
            with db.tenant(organization):
                for user in User.select():
                    sign_in.set_password(user, PASSWORD)
        os.environ |= {
            "RAYCES_DATABASE_URL": db.url,
            "RAYCES_ADMIN_DATABASE_URL": db.admin_url,
            "CENTRE_SECRET": os.environ.get("CENTRE_SECRET", secrets.token_hex(32)),
        }
        from centre.app import app
        from centre.messages import relay

        for organization in organizations:
            print(f"\n{organization.name}: http://{organization.subdomain}.localhost:{port}/")
            with db.tenant(organization):
                for user in User.select().order_by(User.role, User.id):
                    print(f"  {user.role.name.lower():13}{user.email}")
        print(f"\nEverybody's password: {PASSWORD}\nStop with Ctrl-C.\n", flush=True)
        working = relay()
        thread = threading.Thread(target=working.run, name="outbox")
        thread.start()
        try:
            uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
        finally:
            working.stop()
            thread.join()


main()
