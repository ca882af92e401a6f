"""The accounts of all callers."""

import time
from collections.abc import Callable
from functools import partial

from gateway.access.account import Account, Clock
from gateway.access.limits import CallersFile
from gateway.access.metrics import AccessMetrics

# Issuers of signed tokens may name any number of callers. Below this many accounts are not worth looking through.
_FORGET_ABOVE = 1024


class Accounts:
    """One for each caller who has called; those that nothing is in are forgotten now and then."""

    def __init__(
        self, callers: Callable[[], CallersFile], metrics: AccessMetrics, clock: Clock = time.monotonic
    ) -> None:
        """`callers` gives what is in force at the moment."""
        self._callers = callers
        self._metrics = metrics
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._forget_at = _FORGET_ABOVE

    def of(self, caller: str) -> Account:
        account = self._accounts.get(caller)
        if account is None:
            self._forget_idle()
            account = self._accounts[caller] = self._opened(caller)
        return account

    def _opened(self, caller: str) -> Account:
        decoded = partial(self._metrics.decoded, caller)
        return Account(caller, lambda: self._callers().limits(caller), self._clock, decoded)

    def _forget_idle(self) -> None:
        if len(self._accounts) < self._forget_at:
            return
        self._accounts = {name: account for name, account in self._accounts.items() if not account.is_idle}
        # Looking again only when as many have come keeps the cost of each caller constant.
        self._forget_at = max(_FORGET_ABOVE, 2 * len(self._accounts))
