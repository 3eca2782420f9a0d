"""A centre's web application on rayces-core: what a family, a professional, the desk and an admin see."""
