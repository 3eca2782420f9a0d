"""People: contacts that are entered twice are found and merged, and who asks for it is forgotten.

Rule it guards: the ledger and what was done stay as they were, whoever they are about by then.
"""

from rayces_core.people.duplicates import Duplicates, duplicates
from rayces_core.people.erasing import Erased, erase_student, erase_user
from rayces_core.people.merging import Merged, forward_credits, merge_users, person_behind, preview_merge

__all__ = [
    "Duplicates",
    "Erased",
    "Merged",
    "duplicates",
    "erase_student",
    "erase_user",
    "forward_credits",
    "merge_users",
    "person_behind",
    "preview_merge",
]
