"""Speaker diarization as a gRPC service: a recording in, who spoke when out."""
