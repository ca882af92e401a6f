"""What sound may be like, raw or in a container; as the contract says of raw samples."""

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 384_000
MAX_CHANNELS = 32
