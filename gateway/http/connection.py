"""One HTTP connection, as uvicorn serves it."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# In a request's state: the certificate that its connection's peer proved to hold, in DER.
CERTIFICATE = "certificate"


class Connection(H11Protocol):
    """Tells requests of the peer's certificate, and waits for the first one no longer than for the next."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.loop.call_later(self.timeout_keep_alive, transport.close)
        secured = transport.get_extra_info("ssl_object")
        if secured is not None and (certificate := secured.getpeercert(binary_form=True)):
            self.app_state = {**self.app_state, CERTIFICATE: certificate}

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._patience.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        super().connection_lost(exc)
