"""Fuzzing of the codec: `python -m tests.fuzz --seconds 60`."""
