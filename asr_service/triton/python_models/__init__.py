"""Models that Triton's Python backend runs, each one file that is copied into the repository as it is."""
