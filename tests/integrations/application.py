"""An application with every kind of endpoint, as a host would write it; also served by real servers in tests."""

import asyncio
import os
from typing import Annotated

from fastapi import BackgroundTasks, FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict

from rayces_core import Database, Role, Student, User, scheduling
from rayces_core.errors import CrossTenantError
from rayces_core.integrations.fastapi import Rayces

SECRET = "s" * 32


class BookIn(BaseModel):
    student_id: int
    professional_id: int
    scheduled_at: AwareDatetime


class AppointmentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    state: str
    idempotency_key: str | None


def make(db: Database, **options) -> FastAPI:
    """The application; `app.state.rayces` is its Rayces, `app.state.noted` what background tasks saw."""
    rayces = Rayces(db, domain="example.test", header="X-Tenant", secret=SECRET, **options)
    app = FastAPI()
    rayces.install(app)
    app.state.rayces, app.state.noted = rayces, []
    noted = app.state.noted

    def who():
        return {"tenant": db.organization_id, "students": Student.select().count()}

    @app.post("/appointments", status_code=201)
    def book(me: rayces.CurrentUser, data: BookIn, key: rayces.IdempotencyKey = None) -> AppointmentOut:
        return scheduling.book(
            student=data.student_id,
            professional=data.professional_id,
            client=me,
            scheduled_at=data.scheduled_at,
            by=me,
            idempotency_key=key,
        )

    @app.get("/sync")
    def sync(tenant: rayces.Tenant):
        return who() | {"named": tenant.subdomain}

    @app.get("/atomic")
    def atomic():
        with db.atomic():
            return who()

    @app.get("/async")
    async def asynchronous(tenant: rayces.Tenant):
        return await rayces.run(who) | {"named": tenant.subdomain}

    @app.get("/many")
    async def many():
        ran = [rayces.run(who), asyncio.wait_for(rayces.run(who), 20), asyncio.to_thread(who)]
        return await asyncio.gather(*ran)

    @app.get("/blocking")
    async def blocking():
        return who()

    @app.get("/background")
    def background(tasks: BackgroundTasks):
        async def later():
            noted.append(await rayces.run(who))

        tasks.add_task(lambda: noted.append(who()))
        tasks.add_task(later)
        return who()

    @app.get("/stream")
    def stream():
        return StreamingResponse(f"{student.organization_id}\n" for student in Student.select().iterator())

    @app.get("/astream")
    async def astream():
        async def rows():
            for student in await rayces.run(lambda: list(Student.select())):
                yield f"{student.organization_id}\n"

        return StreamingResponse(rows())

    @app.get("/stream-own")
    def stream_own():
        def rows():
            with db.tenant(db.organization_id):
                for student in Student.select():
                    yield f"{student.organization_id}\n"

        return StreamingResponse(rows())

    @app.get("/me")
    def me(me: rayces.CurrentUser):
        return {"id": me.id}

    @app.get("/ame")
    async def ame(me: Annotated[User, rayces.current_user]):
        return {"id": me.id}

    @app.get("/claims")
    async def claims(claims: rayces.Claims):
        return {"id": claims.user_id}

    @app.get("/desk", dependencies=[rayces.requires(Role.STAFF)])
    def desk():
        return {}

    @app.get("/team")
    def team(me: Annotated[User, rayces.requires(Role.PROFESSIONAL, Role.STAFF)]):
        return {"id": me.id}

    @app.get("/students/{number}")
    def student(number: int):
        return {"id": Student.get_by_id(number).id}

    @app.get("/foreign")
    def foreign():
        raise CrossTenantError("student 4711 is another organization's", bound=1, found=4711)

    @app.get("/fault")
    def fault():
        raise ZeroDivisionError("password=hunter2")

    @app.get("/closed")
    def closed():
        raise HTTPException(409, "closed on Sundays", {"X-Own": "1"})

    @app.get("/plain")
    async def plain():
        return {}

    @app.get("/slow")
    def slow(seconds: float = 0.5):
        db.execute_sql("SELECT pg_sleep(%s)", (seconds,))
        return {}

    @app.post("/json")
    def json(data: list[int]) -> dict:
        return {"got": data}

    @app.websocket("/ws")
    async def ws(socket: WebSocket, tenant: rayces.Tenant):
        await socket.accept()
        await socket.send_json(await rayces.run(who) | {"named": tenant.subdomain})
        await socket.close()

    @app.websocket("/ws/me")
    async def ws_me(socket: WebSocket, me: rayces.CurrentUser):
        await socket.accept()
        await socket.send_json({"id": me.id})
        await socket.close()

    return app


def max_body() -> int | None:
    """What a test says that bodies may have."""
    said = os.environ.get("TEST_MAX_BODY")
    return None if said is None else int(said)


def __getattr__(name):
    """`app`, for servers that are told this module's name."""
    if name == "app":
        return make(Database.from_env(max_connections=4, pool_timeout=5), max_body=max_body())
    raise AttributeError(name)
