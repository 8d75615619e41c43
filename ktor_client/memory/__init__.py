"""What the engines in memory stand on: pipes of bytes, faults, and clocks.

`contract.py` of `link/` says what a link is; the engines are in `engines/_mock` and `_asgi`.
"""
