"""Complete programs; each docstring has the one command that runs it."""
