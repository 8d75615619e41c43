"""Clients of other languages in our scenarios: a folder for each, `lanes` builds and starts them.

What is sent and counted is written in `benchmarks.scenarios`; a program gets it as arguments.
"""
