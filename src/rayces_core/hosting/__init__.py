"""A host's own models among the record types: what is registered here can be imported and exported by name.

    hosting.register(Room, key="name", words={"name": ("sala",)})
    with db.tenant("north"):
        importing.run("salas.csv", Room)

Archives need none of it: they find the host's tables in the catalogue.
"""

from rayces_core.hosting.registering import register, registered

__all__ = ["register", "registered"]
