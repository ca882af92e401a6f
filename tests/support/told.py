"""What the three services tell Prometheus, found by running each with all that can be switched on."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from asr_service.config import AsrConfig
from asr_service.servicer import RecognitionService
from diarization_service.config import Config
from diarization_service.service import DiarizationService
from gateway.access.vouching import Voucher
from gateway.access.wiring import access_interceptor
from gateway.config import GatewayConfig
from gateway.http.front import HttpFront
from gateway.servicer import TranscriptionService
from serving.config import ServerConfig
from serving.errors import ModelUnavailable
from serving.fronts import Front
from serving.gpus import tell_gpus
from serving.metrics import process_registry
from serving.server import Service, running
from support.certificates import Authority


@dataclass(frozen=True)
class Family:
    """A metric, a histogram's parts taken together."""

    kind: str
    labels: frozenset[str]


def told() -> dict[str, dict[str, Family]]:
    """By service, the metrics by the names that queries know, a histogram's without its suffixes."""
    with TemporaryDirectory() as folder:
        Authority().identity("server").write(Path(folder))
        files = {"tls_certificate": Path(folder, "tls.crt"), "tls_key": Path(folder, "tls.key")}
        return asyncio.run(_told(address="127.0.0.1:0", **files))


async def _told(**settings: Any) -> dict[str, dict[str, Family]]:
    gateway, asr, diarization = process_registry(), _beside_gpus(), _beside_gpus()
    to_gateway = GatewayConfig(**settings, **_calling_with(settings), http_address="127.0.0.1:0")
    to_asr = AsrConfig(**settings)
    to_diarization = Config(**settings, segmentation_model="none", embedding_model="none")
    return {
        "gateway": await _families(
            TranscriptionService(to_gateway, gateway),
            to_gateway,
            gateway,
            [access_interceptor(to_gateway, gateway)],
            HttpFront(to_gateway, "127.0.0.1:0", Voucher(), gateway),
        ),
        "asr": await _families(RecognitionService(to_asr, _no_models, asr), to_asr, asr),
        "diarization": await _families(
            DiarizationService.of(to_diarization, _NoStore(), diarization),
            to_diarization,
            diarization,
        ),
    }


async def _families(
    service: Service,
    config: ServerConfig,
    registry: CollectorRegistry,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    front: Front | None = None,
) -> dict[str, Family]:
    async with running(service, config, registry, interceptors, front=front) as server:
        with suppress(ModelUnavailable):
            await server.wait_serving()
        return {
            _name(family): Family(family.type, _labels(collector, family))
            for collector in registry._collector_to_names
            for family in collector.collect()
        }


def _calling_with(settings: dict[str, Any]) -> dict[str, Any]:
    certificate, key = settings["tls_certificate"], settings["tls_key"]
    return {"backend_ca": certificate, "backend_certificate": certificate, "backend_key": key}


def _name(family: Any) -> str:
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


def _labels(collector: Any, family: Any) -> frozenset[str]:
    """Those of a metric that counts; those seen of one that is made at each scrape."""
    if hasattr(collector, "_labelnames"):
        return frozenset(collector._labelnames)
    return frozenset(label for sample in family.samples for label in sample.labels)


def _beside_gpus() -> CollectorRegistry:
    registry = process_registry()
    tell_gpus(registry, _Nvml())
    return registry


def _no_models() -> Any:
    raise ModelUnavailable("there are none here")


class _NoStore:
    def info(self, name: str, role: str) -> Any:
        _no_models()


class _Nvml:
    """One GPU."""

    class NVMLError(Exception): ...

    def nvmlInit(self) -> None: ...  # noqa: N802 - NVML's name

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(gpu=50)

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=2, used=1)
