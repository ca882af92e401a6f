"""The architectures that users' models have, with random weights, and their exports as the toolkits write them.

For parity tests at small sizes, and for benchmarks at the true ones: no weights are needed to see whether two programs
decode alike, nor how fast they are.
"""
