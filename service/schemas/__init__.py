"""Request and answer bodies: the contract with callers, checked at the door."""
