"""Benchmarks of the online half, over HTTP, on what `dmi demo` made or on synthetic catalogues."""
