"""Messages that leave with what they tell of, and the relay that delivers them."""
