"""The shared nouns: everything that must be the same, byte for byte, offline and online."""
