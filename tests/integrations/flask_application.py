"""The same application in Flask; also served by gunicorn in tests."""

import os

from flask import Flask, Response, abort, request, stream_with_context

from rayces_core import Database, Role, Student
from rayces_core.integrations.flask import Rayces
from tests.integrations.application import max_body

SECRET = "s" * 32


def make(db: Database, **options) -> Flask:
    """The application; `app.extensions["rayces"]` is its Rayces."""
    app = Flask(__name__)
    rayces = Rayces(db, domain="example.test", header="X-Tenant", secret=SECRET, **options)
    rayces.install(app)
    app.extensions["rayces"] = rayces

    def who():
        return {"tenant": db.organization_id, "students": Student.select().count(), "process": os.getpid()}

    @app.get("/sync")
    def sync():
        return who() | {"named": rayces.tenant.subdomain}

    @app.get("/slow")
    def slow():
        db.execute_sql("SELECT pg_sleep(0.5)")
        return {}

    @app.get("/stream")
    def stream():
        return Response(f"{student.organization_id}\n" for student in Student.select().iterator())

    @app.get("/stream-with-context")
    def stream_in_context():
        rows = (f"{student.organization_id} {request.path}\n" for student in Student.select().iterator())
        return Response(stream_with_context(rows))

    @app.get("/me")
    @rayces.signed_in
    def me():
        return {"id": rayces.current_user.id, "again": rayces.current_user.id, "key": rayces.idempotency_key}

    @app.get("/claims")
    def claims():
        return {"id": rayces.claims.user_id}

    @app.get("/desk")
    @rayces.requires(Role.STAFF)
    def desk():
        return {}

    @app.get("/students/<int:number>")
    def student(number):
        return {"id": Student.get_by_id(number).id}

    @app.get("/fault")
    def fault():
        raise ZeroDivisionError("password=hunter2")

    @app.get("/closed")
    def closed():
        abort(409, "closed on Sundays")

    @app.post("/json")
    def json():
        return {"got": request.get_json()}

    return app


def __getattr__(name):
    """`app`, made and used before gunicorn forks its workers."""
    if name == "app":
        db = Database.from_env(max_connections=4, pool_timeout=5)
        app = make(db, max_body=max_body())
        db.find_tenant("before-the-fork")
        return app
    raise AttributeError(name)
