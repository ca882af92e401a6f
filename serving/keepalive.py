"""How a peer is noticed that vanished without a word: its machine was lost, or a proxy lost its way to it."""


def keepalive_options(*, interval_ms: int, timeout_ms: int) -> list[tuple[str, int]]:
    """For a channel or a server: a connection over which nothing comes is closed after the sum of both.

    Also for calls that only wait, which is when it matters: by default, clients stop to ping after two pings without
    messages between them, and answers to pings may take a minute whatever the keepalive timeout.
    """
    return [
        ("grpc.keepalive_time_ms", interval_ms),
        ("grpc.keepalive_timeout_ms", timeout_ms),
        ("grpc.http2.ping_timeout_ms", timeout_ms),
        ("grpc.http2.max_pings_without_data", 0),
    ]
