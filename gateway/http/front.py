"""HTTP in front of the gateway's server, which it calls over a socket that nobody else can reach."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from prometheus_client import CollectorRegistry

from gateway.access.vouching import Voucher
from gateway.config import GatewayConfig
from gateway.connecting import open_channel
from gateway.http.app import application
from gateway.http.listening import address_of, bound, served
from gateway.http.tls import RenewedContext
from gateway.private_directory import private_directory
from serving.certificates import CertificateFiles
from serving.listening import listen


class HttpFront:
    """Calls the gateway as its callers, with their tokens and certificates, so that whatever holds for them there holds here."""

    def __init__(
        self, config: GatewayConfig, address: str, voucher: Voucher, registry: CollectorRegistry
    ) -> None:
        """To be at `address`; `voucher` is the one that the server's access goes by."""
        self._config = config
        self._address = address
        self._voucher = voucher
        self._registry = registry

    @asynccontextmanager
    async def open(self, server: grpc.aio.Server) -> AsyncIterator[str]:
        """As serving.fronts.Front says. Raises UnusableCertificate as well."""
        seconds = self._config.keepalive_seconds
        with private_directory() as folder, bound(self._address, seconds) as listening:
            own = listen(server, f"unix:{folder}/gateway.sock")
            async with open_channel(own, None, "") as channel:
                app = application(channel, self._config, self._voucher, self._registry)
                async with served(app, listening, self._tls(), seconds):
                    yield address_of(listening, self._address)

    def _tls(self) -> ssl.SSLContext | None:
        config = self._config
        if config.tls_certificate is None:
            return None
        return RenewedContext(
            CertificateFiles(certificate=config.tls_certificate, key=config.tls_key, ca=config.tls_client_ca)
        )
