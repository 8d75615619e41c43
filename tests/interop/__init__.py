"""Interop: the client against servers that we did not write, each in a process of its own."""
