"""What is seen of every request, whatever becomes of it."""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.headers import REQUEST_ID, request_id

# What other servers write down of requests whose caller went before an answer began.
_CALLER_GONE = 499

# From a health check to a recording of hours.
_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


class HttpMetrics:
    """Of paths that are none of `paths` there may be any number; they are told together."""

    def __init__(self, registry: CollectorRegistry, paths: tuple[str, ...]) -> None:
        self._paths = paths
        self._requests = Counter(
            "duoscribe_gateway_http_requests",
            "Requests over HTTP that ended, by the status that their callers got.",
            ["path", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "duoscribe_gateway_http_request_seconds",
            "How long requests over HTTP took, from their headers to the end of their answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )

    def ended(self, path: str, status: int, seconds: float) -> None:
        label = path if path in self._paths else "other"
        self._requests.labels(label, str(status)).inc()
        self._seconds.labels(label).observe(seconds)


class Observed:
    """Around an application: gives each request its id, says that in the answer, and counts."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = scope.setdefault("state", {})[REQUEST_ID] = request_id(Headers(scope=scope))
        status, started = _CALLER_GONE, time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = named
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._metrics.ended(scope["path"], status, time.perf_counter() - started)
