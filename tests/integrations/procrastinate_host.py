"""A procrastinate application whose queue lies in a PostgreSQL database; run as a program it works what is there."""

import os

import procrastinate

from tests.integrations import job_host

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["JOBS_QUEUE_URL"]))


@app.task(name="work")
def work(name, rayces=None):
    job_host.work(rayces, name)


if __name__ == "__main__":
    app.run_worker(wait=False, listen_notify=False)
