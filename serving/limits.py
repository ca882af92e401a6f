"""What a service takes, as its Describe call tells it."""

from serving.config import ServerConfig
from serving.times import duration
from speech.audio.v1.audio_pb2 import ServiceLimits


def service_limits(config: ServerConfig) -> ServiceLimits:
    return ServiceLimits(
        max_audio_duration=duration(config.max_audio_seconds),
        max_message_bytes=config.max_message_bytes,
        max_concurrent_streams=config.max_streams,
        max_idle_duration=duration(config.max_idle_seconds),
    )
