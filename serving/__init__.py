"""What the three services share: life cycle, limits, errors, configuration, logs, audio decoding and the model store."""
