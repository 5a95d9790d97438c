"""The routes of the contract: each checks its input, asks one part, and writes the answer."""
