"""The benchmark: what a statement through rayces_core costs next to the same work written by hand.

`make bench`, or `python -m bench --help`. Nothing of it is part of the installed package.
"""
