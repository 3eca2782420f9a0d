"""The metrics a second time: loops over rows and minutes in plain Python, without SQL and without our arithmetic."""
