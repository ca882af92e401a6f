"""What takes callers' recordings apart, in processes that do nothing else, and what those and the service say to each other."""
