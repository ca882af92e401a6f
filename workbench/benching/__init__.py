"""How fast a network runs on each runtime: batches timed, a table, plots, and where the time goes, layer by layer."""
