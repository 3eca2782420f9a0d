"""`python -m centre`: an embedded database with the two centres of the demo, the pages, and what works beside them."""

import os
import threading

import uvicorn

from rayces_core import demo, outbox


def main() -> None:
    """Start everything, say where it is and who may sign in, and stop it all with Ctrl-C."""
    port = int(os.environ.get("PORT", "8000"))
    with demo.started(os.environ.get("CENTRE_DATA"), password="correct horse battery") as trial:
        drawn = {
            "CENTRE_SECRET": trial.secret("tokens"),
            "CENTRE_PAYMENT_SECRET": trial.secret("payments", outbox.new_secret),
            "CENTRE_URL": f"http://{{subdomain}}.localhost:{port}",
        }
        os.environ |= trial.variables() | drawn | {name: os.environ[name] for name in drawn if name in os.environ}
        from centre.app import app
        from centre.calendars import keep_reading
        from centre.messages import relay, send_notices
        from centre.sweeps import keep_sweeping

        print(f"\n{trial.sign_ins(port)}\nStop with Ctrl-C.\n", flush=True)
        working, over = relay(), threading.Event()
        threads = [
            threading.Thread(target=working.run, name="outbox"),
            threading.Thread(target=keep_reading, args=(over,), name="calendars"),
            threading.Thread(target=keep_sweeping, args=(over,), name="sweeps"),
        ]
        for thread in threads:
            thread.start()
        stopping = threading.Event()
        sending = threading.Thread(target=send_notices, args=(stopping,), name="notices")
        sending.start()
        try:
            uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
        finally:
            working.stop()
            stopping.set()
            over.set()
            for thread in threads:
                thread.join()
            sending.join()


main()
