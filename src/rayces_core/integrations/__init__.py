"""What web applications, jobs and tests of a host need; importing this room imports no framework.

`fastapi` and `flask` each hold a `Rayces` that is installed into an application; `asgi` and `wsgi` bind the tenant for
any other framework, `tenants` says which tenant a request is for, and `problems` makes answers of errors.
`payments` reads and posts what payment providers notify of.
"""
