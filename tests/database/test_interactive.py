"""`db.use`: what the cells of an interactive session find bound, and everything that must not."""

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import pytest

from rayces_core import Database, Student, TenancyError
from tests.kernel import Kernel
from tests.sizes import exhaustive

pytestmark = pytest.mark.slow

COUNT = "Student.select().count()"


@pytest.fixture
def north(kernel: Kernel) -> Iterator[Kernel]:
    """The kernel, where north is used."""
    kernel.cell("db.use('north')")
    yield kernel
    kernel.cell("db.use(None)")


def outcome(kernel: Kernel, code: str) -> str:
    """What the cell prints, or the error's class."""
    ran = kernel.try_cell(textwrap.dedent(code))
    return ran.error or ran.printed.strip() or ran.value


# -- where it holds ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_holds_from_cell_to_cell_until_another_is_used(north):
    assert outcome(north, COUNT) == "1"
    assert outcome(north, f"1/0\n{COUNT}") == "ZeroDivisionError"
    assert outcome(north, COUNT) == "1"
    north.cell("db.use('south')")
    assert outcome(north, COUNT) == "2"
    north.cell("db.use(None)")
    assert outcome(north, COUNT) == "TenantNotSetError"


@pytest.mark.slow
def test_it_holds_in_cells_with_await_and_after_them(north):
    assert outcome(north, f"import asyncio\nawait asyncio.sleep(0.01)\n{COUNT}") == "1"
    assert outcome(north, COUNT) == "1"
    assert outcome(north, "async def counted():\n    await asyncio.sleep(0)\n    return " + COUNT) == ""
    assert outcome(north, "await counted()") == "1"


def test_it_may_be_begun_in_a_cell_with_await(kernel):
    kernel.cell("import asyncio\nawait asyncio.sleep(0)\ndb.use('south')")
    assert outcome(kernel, COUNT) == "2"
    kernel.cell("await asyncio.sleep(0)\ndb.use(None)")
    assert outcome(kernel, COUNT) == "TenantNotSetError"


def test_blocks_go_first_and_end_in_it_again(north):
    assert outcome(north, f"with db.tenant('south'): print({COUNT})\nprint({COUNT})") == "2\n1"
    assert outcome(north, f"with db.privileged(reason='look'): print({COUNT})\nprint({COUNT})") == "3\n1"
    assert outcome(north, f"with db.tenant('south'):\n    with db.tenant('north'): pass\n    print({COUNT})") == "2"


def test_units_of_work_are_kept_and_undone_in_it(north):
    grade = "print(Student.select().first().grade_level)"
    north.cell("with db.atomic(): Student.update(grade_level='4').execute()")
    assert outcome(north, grade) == "4"
    assert (
        outcome(north, "with db.atomic():\n    Student.update(grade_level='5').execute(); 1/0") == "ZeroDivisionError"
    )
    assert outcome(north, grade) == "4"


def test_raw_sql_and_models_are_held_to_it(north):
    assert outcome(north, "db.execute_sql('SELECT count(*) FROM students').fetchone()[0]") == "1"
    assert outcome(north, "Student.create(first_name='A', last_name='B', organization_id=99)") == "CrossTenantError"
    assert outcome(north, "print(db.current_tenant.subdomain, db.organization_id)").startswith("north ")


def test_a_query_is_read_anew_in_the_next_cell(north):
    north.cell("kept = Student.select()\nlen(kept)")
    north.cell("with db.tenant('north'): extra = Student.create(first_name='Extra', last_name='One')")
    assert outcome(north, "len(kept)") == "2"
    assert outcome(north, "len(kept); extra.delete_instance(); len(kept)") == "2"
    assert outcome(north, "len(kept)") == "1"


def test_another_tenant_is_not_used_while_a_unit_of_work_is_open(north):
    for other in ("'south'", "None"):
        assert outcome(north, f"with db.atomic():\n    db.use({other})") == "TenantSwitchError"
    assert outcome(north, f"with db.atomic():\n    db.use('north')\n    print({COUNT})") == "1"


@pytest.mark.parametrize("begin", ["", "import asyncio; await asyncio.sleep(0)\n"])
def test_a_unit_of_work_that_a_cell_leaves_open_is_undone_and_said(begin, north):
    ran = north.cell(begin + "unit = db.atomic(); unit.__enter__(); Student.update(grade_level='9').execute(); None")
    assert ran.printed == "a transaction was still open at the end of the cell; it was undone\n"
    assert outcome(north, "Student.select().first().grade_level != '9'") == "True"
    assert north.cell("x = 1").printed == ""


def test_an_organization_that_is_switched_off_is_not_used_any_more(kernel):
    kernel.cell("other = Database.connect(db.url, tenant_cache_seconds=0)")
    kernel.cell("east = other.create_organization('East', subdomain='east'); other.use('east')")
    assert outcome(kernel, COUNT) == "0"
    kernel.cell("with db.privileged(reason='switch off'): east.active = False; east.save()")
    ran = kernel.try_cell(COUNT)
    assert ran.error == "TenantNotSetError"
    assert "not active" in ran.printed
    assert outcome(kernel, "other.use('east')") == "InactiveTenantError"
    kernel.cell("other.close()")


def test_a_database_that_is_closed_is_not_used_any_more(kernel):
    kernel.cell("closing = Database.connect(db.url); closing.use('north'); closing.close()")
    assert outcome(kernel, COUNT) == "TenantNotSetError"


def test_nobody_unknown_is_used_and_what_was_stays(north):
    assert outcome(north, "db.use('nowhere')") == "UnknownTenantError"
    assert outcome(north, "db.use(True)") == "UnknownTenantError"
    assert outcome(north, COUNT) == "1"


# -- what must not find it --------------------------------------------------------------------------------------------

UNBOUND = {
    "a thread": """
        import threading
        def in_thread(told=[]):
            try: print(Student.select().count())
            except TenantNotSetError: print('unbound')
        thread = threading.Thread(target=in_thread); thread.start(); thread.join()""",
    "a thread of asyncio": """
        import asyncio
        def find():
            try: return Student.select().count()
            except TenantNotSetError: return 'unbound'
        print(await asyncio.to_thread(find))""",
    "an executor": """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(1) as pool: print(pool.submit(find).result())""",
    "a task": """
        async def a_task(): return find()
        print(await asyncio.create_task(a_task()))""",
    "gathered tasks": "print(*set(await asyncio.gather(a_task(), a_task())))",
    "a callback of the loop": """
        told = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: told.set_result(find()))
        print(await told)""",
    "a forked process": """
        import os
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, str(find()).encode()); os._exit(0)
        os.waitpid(child, 0); print(os.read(reading, 100).decode())""",
    "a worker of multiprocessing": """
        import multiprocessing
        with multiprocessing.get_context('fork').Pool(1) as pool: print(pool.apply(find))""",
    "a server in the cell's own thread": """
        import urllib.request, threading
        from wsgiref.simple_server import make_server, WSGIRequestHandler
        class Quiet(WSGIRequestHandler):
            def log_message(self, *_): pass
        def application(environ, start_response):
            start_response('200 OK', [])
            return [str(find()).encode()]
        with make_server('127.0.0.1', 0, application, handler_class=Quiet) as server:
            answers = []
            asking = threading.Thread(target=lambda: answers.append(urllib.request.urlopen(f'http://127.0.0.1:{server.server_port}').read().decode()))
            asking.start(); server.handle_request(); asking.join()
        print(*answers)""",
    "Flask's client of tests": """
        import flask
        site = flask.Flask('site')
        @site.get('/')
        def root(): return str(find())
        print(site.test_client().get('/').text)""",
    "an ASGI application that the cell calls": """
        import httpx, starlette.applications, starlette.responses, starlette.routing
        async def home(request): return starlette.responses.PlainTextResponse(str(find()))
        asgi = starlette.applications.Starlette(routes=[starlette.routing.Route('/', home)])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(asgi), base_url='http://t') as client:
            print((await client.get('/')).text)""",
    "the library's own middleware": """
        from rayces_core.integrations.wsgi import TenantMiddleware
        def exempt(environ, start_response):
            start_response('200 OK', [])
            return [str(find()).encode()]
        from rayces_core.integrations.tenants import Resolver
        middleware = TenantMiddleware(exempt, resolver=Resolver(db), exempt=['/health'])
        environ = {'PATH_INFO': '/health', 'HTTP_HOST': 'example.org', 'REQUEST_METHOD': 'GET'}
        print(b''.join(middleware(environ, lambda *_: None)).decode())""",
    "a command": """
        import click
        from click.testing import CliRunner
        @click.command()
        def command(): click.echo(find())
        print(CliRunner().invoke(command).output.strip())""",
    "a script that %run runs": """
        import pathlib, tempfile
        script = pathlib.Path(tempfile.mkdtemp()) / 'a script.py'
        script.write_text('from __main__ import find\\nprint(find())\\n')
        get_ipython().run_line_magic('run', f'-i "{script}"')""",
    "a script that runpy runs": """
        import runpy
        ran_script = runpy.run_path(str(script), {'find': find})""",
    "a loop of its own, in a thread": """
        print(await asyncio.to_thread(asyncio.run, a_task()))""",
    "a task of trio": """
        import trio
        print(await asyncio.to_thread(trio.run, a_task))""",
    "a task of trio in the main thread": "print(trio.run(a_task))",
    "a task of trio beside it": """
        async def nursed():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tell)
        async def tell(): print(find())
        trio.run(nursed)""",
    "a test": """
        import unittest
        class Testing(unittest.TestCase):
            def test_it(self): print(find())
        ran_test = unittest.TextTestRunner(stream=open(os.devnull, 'w')).run(Testing('test_it'))""",
    "an eager task": """
        if hasattr(asyncio, 'eager_task_factory'):
            print(await asyncio.Task(a_task(), loop=asyncio.get_running_loop(), eager_start=True))
        else:
            print('unbound')""",
    "a callback of the loop, which the cell enters again": """
        loop, told = asyncio.get_running_loop(), []
        loop.call_soon(lambda: told.append(find()))
        loop._run_once()
        print(*told)""",
    "a handler of a signal": """
        import signal, time, functools
        told = []
        def handle(*_): told.append(find())
        before = signal.getsignal(signal.SIGUSR1)
        for handler in (handle, functools.partial(handle)):
            signal.signal(signal.SIGUSR1, handler)
            os.kill(os.getpid(), signal.SIGUSR1); time.sleep(0.01)
        signal.signal(signal.SIGUSR1, before); print(*set(told))""",
    "a finalizer": """
        told = []
        class Dying:
            def __del__(self): told.append(find())
        dying = Dying(); del dying; print(*told)""",
    "a finalizer of weakref": """
        import weakref
        told = []
        class Plain: pass
        plain = Plain(); ended = weakref.finalize(plain, lambda: told.append(find())); del plain; print(*told)""",
    "a test in a docstring": """
        import doctest
        told = []
        def documented():
            '''
            >>> told.append(find())
            '''
        doctest.run_docstring_examples(documented, globals()); print(*told)""",
}


@pytest.mark.slow
def test_nothing_else_than_the_cells_own_code_finds_it(north):
    found = {name: outcome(north, code) for name, code in UNBOUND.items()}
    assert found == dict.fromkeys(UNBOUND, "unbound")
    assert outcome(north, "find()") == "1"


def test_nothing_else_than_a_cell_may_use_one(kernel):
    kernel.cell(
        """
import asyncio, threading
def try_use():
    try: db.use('north'); return 'used'
    except TenancyError as error: return 'refused'
async def in_a_task(): return try_use()
answers = []
"""
    )
    kernel.cell("thread = threading.Thread(target=lambda: answers.append(try_use())); thread.start(); thread.join()")
    assert outcome(kernel, "print(*answers)") == "refused"
    assert outcome(kernel, "print(await asyncio.create_task(in_a_task()))") == "refused"
    kernel.cell("import runpy, pathlib, tempfile\nscript = pathlib.Path(tempfile.mkdtemp()) / 'a.py'")
    kernel.cell("script.write_text('print(try_use())')")
    assert outcome(kernel, "runpy.run_path(str(script), {'try_use': try_use}); None") == "refused"
    assert outcome(kernel, "get_ipython().run_line_magic('run', f'-i {script}')") == "refused"
    kernel.cell("import multiprocessing")
    forked = "with multiprocessing.get_context('fork').Pool(1) as pool: print(pool.apply(try_use))"
    assert outcome(kernel, forked) == "refused"
    assert outcome(kernel, COUNT) == "TenantNotSetError"


def test_a_test_and_a_thread_of_a_plain_program_may_not(db, a):
    with pytest.raises(TenancyError, match=r"with db\.tenant"):
        db.use(a)
    with pytest.raises(TenancyError):
        db.use(None)
    with pytest.raises(LookupError):
        Student.select().count()


PROGRAM = """
import sys
from rayces_core import Database, Student, TenancyError
db = Database.connect(sys.argv[1])
try:
    db.use('north'); print('used')
except TenancyError as error:
    print('refused:', error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    ["python", "ipython", "a shell in-process", *exhaustive("python -m", "ipython -c", "a piped ipython")],
)
def test_a_script_may_not_whatever_runs_it(how, db, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    ipython = [sys.executable, "-m", "IPython", "--HistoryManager.enabled=False", "--no-banner"]
    in_process = (
        "import sys\nfrom IPython.core.interactiveshell import InteractiveShell\n"
        f"InteractiveShell.instance().run_cell({PROGRAM!r})"
    )
    command, given = {
        "python": ([sys.executable, str(script), db.url], None),
        "python -m": ([sys.executable, "-m", "program", db.url], None),
        "ipython": ([*ipython, str(script), db.url], None),
        "ipython -c": ([*ipython, "-c", f"import sys; sys.argv = ['', {db.url!r}]; exec({PROGRAM!r})"], None),
        "a piped ipython": (
            [*ipython, "--simple-prompt"],
            f"import sys; sys.argv = ['', {db.url!r}]; exec({PROGRAM!r})\n",
        ),
        "a shell in-process": ([sys.executable, "-c", in_process, db.url], None),
    }[how]
    done = subprocess.run(command, input=given, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "refused: db.use() is for the cells" in done.stdout, done.stdout + done.stderr


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_what_is_used_is_shown_above_each_result(north):
    ran = north.cell("6 * 7")
    assert [each["text/plain"] for each in ran.shown] == ["[north]", "42"]
    assert "north" in ran.shown[0]["text/html"]
    assert north.cell("x = 1").shown == []
    north.cell("db.use('south')")
    assert [each["text/plain"] for each in north.cell("6 * 7").shown] == ["[south]", "42"]
    north.cell("db.use(None)")
    assert [each["text/plain"] for each in north.cell("6 * 7").shown] == ["42"]


def test_databases_of_two_servers_take_turns(north):
    north.cell("second = Database.connect(db.url); second.use('south')")
    assert outcome(north, COUNT) == "2"
    north.cell("db.use('north')\nsecond.close()")
    assert outcome(north, COUNT) == "1"


def test_the_library_alone_finds_nothing_otherwise():
    from rayces_core.database import binding

    assert binding._otherwise is None
    assert isinstance(Database, type)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["embed.InteractiveShellEmbed", *exhaustive("interactiveshell.TerminalInteractiveShell")]
)
def test_a_program_with_a_shell_of_its_own_may_not_even_at_a_terminal(kind, db):
    pexpect = pytest.importorskip("pexpect")
    module, name = kind.split(".")
    in_process = (
        f"from IPython.terminal.{module} import {name} as Shell\n"
        f"Shell.instance(simple_prompt=True).run_cell({PROGRAM!r})"
    )
    program = pexpect.spawn(sys.executable, ["-c", in_process, db.url], encoding="utf-8", timeout=60)
    program.expect(pexpect.EOF)
    assert "refused: db.use() is for the cells" in program.before
    program.close()


# -- in a terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_in_a_terminal_the_prompt_says_it_and_ctrl_c_ends_a_statement(kernel):
    pexpect = pytest.importorskip("pexpect")
    url = kernel.cell("print(db.url)").printed.strip()
    options = ["-m", "IPython", "--simple-prompt", "--no-banner", "--HistoryManager.enabled=False", "--colors=NoColor"]
    shell = pexpect.spawn(sys.executable, options, encoding="utf-8", timeout=60, echo=False)
    try:
        shell.expect_exact("In [1]: ")
        shell.sendline(f"from rayces_core import *; db = Database.connect({url!r}); db.use('south').subdomain")
        shell.expect_exact("south Out[1]: 'south'")
        shell.sendline("Student.select().count() + 40")
        shell.expect_exact("south Out[2]: 42")
        shell.sendline("import asyncio; await asyncio.sleep(0); Student.select().count() + 50")
        shell.expect_exact("south Out[3]: 52")
        shell.sendline("async def counted(): return Student.select().count()")
        shell.sendline("asyncio.run(counted())")  # a task
        shell.expect_exact("TenantNotSetError: no tenant is bound")
        shell.sendline("print('be' + 'gun'); db.execute_sql('SELECT pg_sleep(600)')")
        shell.expect_exact("begun")
        time.sleep(0.3)
        shell.sendintr()
        shell.expect_exact("KeyboardInterrupt")
        shell.sendline("db.use(None)")
        shell.sendline("6 * 7")
        shell.expect(r"(?<!south )Out\[\d+\]: 42")
    finally:
        shell.kill(signal.SIGKILL)
        shell.wait()  # by itself close() gives a process a tenth of a second to go
        shell.close()
