"""Ports that nobody else is given."""

from __future__ import annotations

import random
import socket

# Below those that a system gives to whoever asks for any, as every connection to elsewhere does.
PORTS = range(15_000, 32_000)
# Hypothesis sets what `random` chooses, in every process of a run alike.
DICE = random.SystemRandom()


def free_port() -> int:
    """One that nobody listens at, here or in another process of the run."""
    while True:
        port = DICE.choice(PORTS)
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                return port
