"""A live MyHub database is adopted while its old application goes on: what it costs, and that nothing is lost."""
