"""`python -m rayces_core` is the command `rayces`."""

from rayces_core.cli import main

main()
