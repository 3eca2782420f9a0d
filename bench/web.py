"""`python -m bench.web`: what tenants, sign-in and problems cost a request, next to FastAPI alone with the same work.

Both applications are called directly as ASGI, in turns, batch by batch; what is compared is CPU time of this process,
so neither the network nor the server's work counts. By hand: the bound tenant is known, and nothing is checked.
"""

# No `from __future__ import annotations`: FastAPI could not resolve `rayces.CurrentUser` within a function.
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import click
import jwt
from fastapi import Depends, FastAPI, Request

from bench.server import migrated_database
from rayces_core import Database, Student, User
from rayces_core.integrations.fastapi import Rayces

SECRET = "b" * 32
Call = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """A path, what it does, and the most that it may cost next to FastAPI alone; None where nothing is promised."""

    path: str
    title: str
    most: float | None


CASES = (
    Case("/empty", "async def, nothing done", 1.5),
    Case("/empty-def", "def, nothing done", None),
    Case("/one", "def, one query", 1.10),
    Case("/me", "def, the user who has signed in", 1.10),
    Case("/me-one", "def, that user and one query", 1.10),
)


def bare(db: Database) -> FastAPI:
    """FastAPI alone: the same work in endpoints and a dependency, as one writes it there."""
    app = FastAPI()

    def user_of(request: Request) -> User:
        token = request.headers["authorization"].removeprefix("Bearer ")
        said = jwt.decode(token, SECRET, ["HS256"], options={"verify_aud": False})
        with db.tenant("north"):
            return User.get((User.id == int(said["sub"])) & (User.jti == said["jti"]))

    @app.get("/empty")
    async def empty() -> Any:
        return {"a": 1}

    @app.get("/empty-def")
    def empty_def() -> Any:
        return {"a": 1}

    @app.get("/one")
    def one() -> Any:
        with db.tenant("north"):
            return {"students": Student.select().count()}

    @app.get("/me")
    def me(me: Annotated[User, Depends(user_of)]) -> Any:
        return {"id": me.id}

    @app.get("/me-one")
    def me_one(me: Annotated[User, Depends(user_of)]) -> Any:
        with db.tenant("north"):
            return {"id": me.id, "students": Student.select().count()}

    return app


def ours(db: Database) -> tuple[FastAPI, Rayces]:
    """The same with the library's integration."""
    app, rayces = FastAPI(), Rayces(db, domain="example.test", secret=SECRET)
    rayces.install(app, health=False)

    @app.get("/empty")
    async def empty() -> Any:
        return {"a": 1}

    @app.get("/empty-def")
    def empty_def() -> Any:
        return {"a": 1}

    @app.get("/one")
    def one() -> Any:
        return {"students": Student.select().count()}

    @app.get("/me")
    def me(me: rayces.CurrentUser) -> Any:
        return {"id": me.id}

    @app.get("/me-one")
    def me_one(me: rayces.CurrentUser) -> Any:
        return {"id": me.id, "students": Student.select().count()}

    return app, rayces


def caller(app: FastAPI, token: str) -> Call:
    """Calls a path once, as a server would."""
    headers = [(b"host", b"north.example.test"), (b"accept", b"*/*"), (b"authorization", f"Bearer {token}".encode())]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def call(path: str) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("x", 80),
            "state": {},
        }
        status = []

        async def send(message: dict[str, Any]) -> None:
            status.append(message.get("status"))

        await app(scope, receive, send)
        if status[0] != 200:
            raise click.ClickException(f"{path} answered {status[0]}")

    return call


async def measured(calls: list[Call], case: Case, rounds: int, batch: int) -> list[list[float]]:
    """CPU microseconds of a request of each application, round by round; whoever is first changes with each round."""
    samples: list[list[float]] = [[] for _ in calls]
    for call in calls:
        for _ in range(batch):
            await call(case.path)
    for number in range(rounds):
        for place in range(len(calls)):
            at = (place + number) % len(calls)
            began = time.process_time()
            for _ in range(batch):
                await calls[at](case.path)
            samples[at].append((time.process_time() - began) / batch * 1e6)
    return samples


async def compared(app: FastAPI, calls: list[Call], rounds: int, batch: int) -> list[tuple[Case, float, float, float]]:
    """Of each case: microseconds of FastAPI alone and with the library, and the ratio of each round's, medians."""
    results = []
    async with app.router.lifespan_context(app):
        for case in CASES:
            alone, with_it = await measured(calls, case, rounds, batch)
            ratio = statistics.median(b / a for a, b in zip(alone, with_it, strict=True))
            results.append((case, statistics.median(alone), statistics.median(with_it), ratio))
    return results


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(min=1), default=40, show_default=True, help="Turns of each application.")
@click.option("--batch", type=click.IntRange(min=1), default=60, show_default=True, help="Requests in a turn.")
@click.option("--database-url", help="Measure on this server, in a database made for it, instead of an embedded one.")
def main(rounds: int, batch: int, database_url: str | None) -> None:
    """Measure the CPU time of requests with the library's FastAPI integration next to FastAPI alone."""
    with migrated_database(database_url) as url, Database.connect(url, max_connections=4) as db:
        db.create_organization("North", subdomain="north")
        with db.tenant("north"):
            user = User.create(email="ana@example.org")
            app, rayces = ours(db)
            token = rayces.tokens.issue(user)
        calls = [caller(bare(db), token), caller(app, token)]
        results = asyncio.run(compared(app, calls, rounds, batch))
    click.echo(f"CPU time of a request, medians of {rounds} interleaved rounds of {batch} requests")
    for case, alone, with_it, ratio in results:
        promised = "" if case.most is None else f"  at most {case.most:.2f}"
        click.echo(f"{case.title:34} FastAPI {alone:6.0f} µs   with rayces {with_it:6.0f} µs   x {ratio:.2f}{promised}")


if __name__ == "__main__":
    main()
