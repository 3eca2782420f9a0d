"""A centre's web application in Flask: the core of examples/centre, for programs."""
