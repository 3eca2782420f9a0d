"""Where the library meets others: web frameworks, queues, payment providers. Importing this imports none of them."""
