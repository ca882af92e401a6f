"""A service's life: bind, load, serve, drain, stop.

The port is bound and health answers NOT_SERVING before the models are loaded, so that whoever starts the process knows
where it is and can watch it get ready.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from serving import admin, health, load_reports, logs, process
from serving.admission import AdmissionInterceptor, Line
from serving.call_metrics import CallMetrics
from serving.certificates import UnusableCertificate
from serving.config import ServerConfig
from serving.errors import DuoscribeError
from serving.fronts import Front
from serving.health import Health
from serving.interceptors import ErrorInterceptor
from serving.listening import Addresses, channel_options, listen, plain_endpoint
from serving.load_metrics import export_load
from serving.loop_lag import loop_lag_told
from serving.metrics import metrics_endpoint, process_registry
from serving.tls import server_credentials
from serving.tracing.calls import TracingInterceptor
from serving.tracing.export import tracing_to

# Last statuses reach the wire after their handlers have returned. Open health watches get the same.
_STOP_GRACE_SECONDS = 0.5
# After the calls have ended, what may still take time.
_CLOSE_SECONDS = 10.0

_log = logs.get_logger(__name__)


class Service(Protocol):
    """What differs between the three services."""

    @property
    def names(self) -> tuple[str, ...]:
        """Full proto names of the gRPC services it implements ("speech.asr.v1.SpeechRecognition")."""

    def register(self, server: grpc.aio.Server) -> None:
        """Add its servicers; called once, before the port is bound."""

    async def start(self) -> None:
        """Load and warm the models. Runs once, while the port is open; may be cancelled."""

    async def close(self) -> None:
        """Let go of everything. Runs once, after the last call, even where `start` failed or was cancelled."""


class RunningServer:
    """A server whose port is bound; made by `running`. `serving` is set once the models are loaded and warm."""

    def __init__(
        self,
        addresses: Addresses,
        service: Service,
        server: grpc.aio.Server,
        calls: "_Calls",
        drain_seconds: float,
    ) -> None:
        self.addresses = addresses
        self.serving = asyncio.Event()
        self._service = service
        self._server = server
        self._calls = calls
        self._drain_seconds = drain_seconds
        self._loading = asyncio.create_task(self._load())
        self._stopping: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Where calls are taken: "HOST:PORT" or "unix:PATH"."""
        return self.addresses.address

    async def wait_serving(self) -> None:
        """Wait for the models. Raises what kept them from loading, where `serving` would never be set."""
        await asyncio.shield(self._loading)

    async def stop(self) -> None:
        """Tell health first, refuse new recordings, let those in flight finish within the deadline, and close.

        Once begun it goes on, whether or not somebody waits for it.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        await self._drain()
        self._loading.cancel()
        await asyncio.wait({self._loading})
        await self._server.stop(_STOP_GRACE_SECONDS)
        await self._close_service()
        _log.info("stopped")

    async def _load(self) -> None:
        started = time.monotonic()
        await self._service.start()
        self._calls.admission.open()
        await self._calls.health.serve()
        self.serving.set()
        _log.info("serving", address=self.address, load_seconds=round(time.monotonic() - started, 3))

    async def _drain(self) -> None:
        admission = self._calls.admission
        await self._calls.health.drain()
        admission.drain()
        _log.info("draining", streams=admission.in_flight, at_most_seconds=self._drain_seconds)
        try:
            async with asyncio.timeout(self._drain_seconds):
                await admission.wait_empty()
        except TimeoutError:
            _log.warning("cutting recordings that did not finish in time", streams=admission.in_flight)
            admission.cut()

    async def _close_service(self) -> None:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._service.close()
        except Exception as error:  # noqa: BLE001 - the process ends all the same
            _log.error("the service did not close well", exc_info=error)


@dataclass(frozen=True)
class _Calls:
    """What stands between callers and the servicers."""

    health: Health
    admission: AdmissionInterceptor


@asynccontextmanager
async def running(
    service: Service,
    config: ServerConfig,
    registry: CollectorRegistry | None = None,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    line: Line | None = None,
    front: Front | None = None,
) -> AsyncIterator[RunningServer]:
    """Serve from the port being bound, while the models load, until the context ends; then drain and stop.

    `registry` holds what is told at `config.metrics_address`; by default what every process tells. `interceptors` are the
    service's own, the outermost first: within the mapping of errors, before admission. A backend gives its `line`, by which
    recordings are refused, and reports its load to clients. A `front` takes callers of another protocol. Raises
    UnusableCertificate, and OSError where an address cannot be bound. Await `wait_serving` to learn whether the models loaded.
    """
    registry = registry or process_registry()
    credentials = server_credentials(config, registry)
    calls = _Calls(Health(service.names), AdmissionInterceptor(config.max_streams, line))
    export_load(calls.admission, registry)
    reports = [load_reports.LoadReportInterceptor(calls.admission.load)] if line else []
    async with (
        metrics_endpoint(config.metrics_address, registry) as metrics_address,
        plain_endpoint(config.health_address, calls.health.register) as health_address,
        plain_endpoint(config.admin_address, admin.register) as admin_address,
        loop_lag_told(registry),
        tracing_to(config.traces_endpoint, _traced_as(service)) as tracer,
    ):
        server = grpc.aio.server(
            interceptors=[
                ErrorInterceptor(),
                TracingInterceptor(tracer),
                CallMetrics(registry),
                *interceptors,
                calls.admission,
                *reports,
            ],
            options=channel_options(config),
        )
        await calls.health.register(server)
        service.register(server)
        if line:
            load_reports.register(server, calls.admission.load)
        reflected = (*service.names, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(reflected, server)
        address = listen(server, config.address, credentials)
        async with front.open(server) if front else nullcontext() as http_address:
            addresses = Addresses(address, health_address, metrics_address, admin_address, http_address)
            await server.start()
            running_server = RunningServer(addresses, service, server, calls, config.drain_seconds)
            try:
                yield running_server
            finally:
                await running_server.stop()


def _traced_as(service: Service) -> str:
    """Its name in traces, after its contract: "duoscribe-asr" for "speech.asr.v1.SpeechRecognition"."""
    return f"duoscribe-{service.names[0].split('.')[1]}"


def run(
    service: Service,
    config: ServerConfig,
    registry: CollectorRegistry | None = None,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    line: Line | None = None,
    front: Front | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, and give the exit code: 0, or 1 if the service could not start, or for a second signal.

    Prints one line to standard output once the port is bound, {"address": "127.0.0.1:50051"}, with what further addresses there
    are; all else, what libraries print included, goes to standard error.
    """
    logs.configure(config.log_level, config.log_format)
    serving = running(service, config, registry, interceptors, line, front)
    return asyncio.run(_main(serving, config, process.claim_stdout()))


async def _main(
    serving: AbstractAsyncContextManager[RunningServer],
    config: ServerConfig,
    announce: Callable[[str], None],
) -> int:
    signalled = process.watch_signals()
    code = 1
    try:
        async with serving as server:
            announce(server.addresses.announcement())
            code = await _until_signalled(server, signalled)
    except OSError as error:
        _log.error("cannot listen", address=config.address, reason=str(error))
    except UnusableCertificate as error:
        _log.error("cannot speak TLS", reason=str(error))
    process.leave_threads_behind(code)
    return code


async def _until_signalled(server: RunningServer, signalled: asyncio.Event) -> int:
    loading = asyncio.create_task(server.wait_serving())
    signal = asyncio.create_task(signalled.wait())
    await asyncio.wait((loading, signal), return_when=asyncio.FIRST_COMPLETED)
    if loading.done() and (error := loading.exception()):
        signal.cancel()
        _log_load_failure(error)
        return 1
    process.keep_what_is_loaded()
    await signal
    loading.cancel()
    return 0


def _log_load_failure(error: BaseException) -> None:
    if isinstance(error, DuoscribeError | UnusableCertificate):
        _log.error("the service could not start", reason=str(error))
    else:
        _log.error("the service could not start", exc_info=error)
