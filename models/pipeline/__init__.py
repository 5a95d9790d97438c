"""The offline verbs: prepare, train, evaluate, build (and the planted demo data)."""
