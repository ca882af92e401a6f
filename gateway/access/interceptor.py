"""Lets callers in who are known, may, and have not used up their share."""

from typing import Any

from gateway.access.account import Account, LimitReached, bind_account
from gateway.access.accounts import Accounts
from gateway.access.identity import Identities
from gateway.access.metrics import AccessMetrics
from serving import logs
from serving.errors import AlreadyRunning, DuoscribeError, PermissionDenied, Unauthenticated
from serving.health import SERVICE_NAME as HEALTH
from serving.interceptors import AroundCalls, Call, Context


class AccessInterceptor(AroundCalls):
    """Health is open to everybody, as whoever asks for it seldom has credentials; reflection is not."""

    def __init__(self, identities: Identities, accounts: Accounts, metrics: AccessMetrics) -> None:
        self._identities = identities
        self._accounts = accounts
        self._metrics = metrics

    async def around(self, call: Call, context: Context, *, method: str, uploads: bool) -> Any:
        if method.startswith(f"/{HEALTH}/"):
            return await call()
        try:
            account = self._account(context)
            if uploads and not method.startswith("/grpc."):
                return await self._stream(call, account)
            return await call()
        except (Unauthenticated, PermissionDenied, LimitReached, AlreadyRunning) as refusal:
            self._metrics.refused(_reason(refusal))
            raise

    def _account(self, context: Context) -> Account:
        caller = self._identities.caller(context)
        logs.bind_caller(caller)
        account = self._accounts.of(caller)
        account.check_allowed()
        bind_account(account)
        return account

    async def _stream(self, call: Call, account: Account) -> Any:
        with account.stream(), self._metrics.stream(account.name):
            return await call()


def _reason(refusal: DuoscribeError) -> str:
    match refusal:
        case LimitReached(limit=limit):
            return limit
        case Unauthenticated():
            return "unauthenticated"
        case PermissionDenied():
            return "not_allowed"
        case _:
            return "already_running"
