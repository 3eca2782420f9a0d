"""A Celery application over a broker of files."""

import os

from celery import Celery

from tests.integrations import job_host

folder = os.environ["JOBS_FOLDER"]
app = Celery(
    "host",
    broker="filesystem://",
    broker_transport_options={
        "data_folder_in": folder,
        "data_folder_out": folder,
        "control_folder": f"{folder}/control",
    },
)


@app.task(bind=True, name="work")
def work(self, name):
    job_host.work(self.request.headers, name)
