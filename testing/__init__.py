"""Helpers that the tests (tests/) and the benchmarks (bench/) share; nothing that a user runs imports them."""
