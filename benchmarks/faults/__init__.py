"""Recordings uploaded while things go wrong: `python -m benchmarks.faults`.

proxy       a TCP proxy that cuts, delays or swallows what passes
replicas    gateways and backends as processes, each behind a proxy
faults      what goes wrong, and how it is put right
uploads     what one caller sends, and how
verdicts    what became of an upload, compared with the undisturbed transcript
rounds      many uploads while one kind of fault happens again and again
table       what is printed
"""
