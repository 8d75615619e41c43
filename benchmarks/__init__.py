"""Benchmarks: what a client costs, beside its peers, on the same machine at the same time.

One room a module: `server` answers (own process), `worker` is one client run (own process),
`scenarios` and `contenders` say what is run and by whom, `latency`, `scale` and `imports` measure
what is not a cost per unit, `plan` and `__main__` run them, `stats`, `goals`, `report` and `plot`
read the numbers; `world` has clients of other languages. Nothing in here is imported by
`ktor_client`.
"""
