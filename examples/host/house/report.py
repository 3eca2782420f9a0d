"""What each room earned in a month: a query over tables of the host and of the library, as the bound tenant."""

from datetime import date

from peewee import fn

from house.models import RentLine, Room


def earned(first: date, last: date) -> dict[str, int]:
    """Name of a room → cents billed for it from one day to another, both included; rooms without any are left out."""
    query = (
        Room.select(Room.name, fn.SUM(RentLine.price_cents).alias("cents"))
        .join(RentLine)
        .where(RentLine.day.between(first, last))
        .group_by(Room.name)
        .order_by(Room.name)
    )
    return {row.name: int(row.cents) for row in query}
