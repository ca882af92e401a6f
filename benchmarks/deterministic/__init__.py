"""The real services with engines that compute next to nothing and always the same, each as `python -m`: ready in about a second.

What they make of a recording follows from its samples, so that audio which is lost, repeated or put in another order on the
way changes the transcript.

recordings  audio that both services make something of
asr         the recognition service, with words made from the samples
diarization the diarization service, with a worker process whose networks hear what is written into the samples
written     those networks
loudness    voice activity: who is loud speaks
"""
