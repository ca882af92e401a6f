"""Speech recognition as a service: a recording in, utterances with timed words out."""
