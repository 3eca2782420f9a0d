"""Two believable centres to look at: for demonstrations, examples and tests of host applications.

`load_centres(db)` writes them through the public API, counted from this week, so that what is past is past.
"""

from rayces_core.demo.centres import CENTRES, Centre
from rayces_core.demo.loading import load_centres

__all__ = ["CENTRES", "Centre", "load_centres"]
