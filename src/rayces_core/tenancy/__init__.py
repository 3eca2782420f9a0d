"""Models whose queries and writes are held to the bound tenant."""
