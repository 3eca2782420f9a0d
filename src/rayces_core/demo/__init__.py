"""Two believable centres to look at: for demonstrations, examples and tests of host applications.

`load_centres(db)` writes them through the public API, counted from this week, so that what is past is past;
`started(folder)` has them on a server of their own, with passwords.
"""

from rayces_core.demo.centres import CENTRES
from rayces_core.demo.hosting import Trial, started
from rayces_core.demo.loading import load_centres
from rayces_core.demo.shapes import Centre

__all__ = ["CENTRES", "Centre", "Trial", "load_centres", "started"]
