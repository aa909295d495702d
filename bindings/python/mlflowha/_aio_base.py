"""What the generated asynchronous calls stand on: threads that carry them out, and a token that ends them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from . import _core
from ._base import identity, next_token
from .client import Client

R = TypeVar("R")


class AsyncBase:
    """Carries the calls out on a few threads of its own, which are made when they are needed."""

    _sync: Client

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._closed = False
        self._make_threads()

    def _make_threads(self) -> None:
        self._threads = ThreadPoolExecutor(self._most, thread_name_prefix="mlflowha-aio")
        self._home = os.getpid()

    def _pool(self) -> ThreadPoolExecutor:
        if self._home != os.getpid() and not self._closed:  # a forked child has none of the threads
            self._make_threads()
        return self._threads

    def _end_threads(self) -> None:
        self._closed = True
        self._threads.shutdown(wait=False)

    async def _run(self, work: Callable[[_core.Cancel], R]) -> R:
        cancel = _core.Cancel()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool(), work, cancel)
        except asyncio.CancelledError:
            # The thread's call ends within milliseconds; nobody waits for it.
            cancel.cancel()
            raise

    async def _call(self, operation: str, values: tuple[object, ...], timeout: Any) -> Any:
        return await self._run(lambda cancel: self._sync._call(operation, values, timeout, cancel))

    async def _pages(self, operation: str, values: tuple[object, ...], timeout: Any) -> AsyncIterator[Any]:
        from ._specs import OPERATIONS

        fields, *_, paths = OPERATIONS[operation]
        at = [field[0] for field in fields].index("page_token")
        seen: set[tuple[Any, ...]] = set()
        tokens: set[str] = set()
        token = ""
        while True:
            page = await self._call(operation, (*values[:at], token or None, *values[at + 1 :]), timeout)
            for entry in page:
                if paths:
                    key = identity(entry, paths)
                    if key in seen:
                        continue
                    seen.add(key)
                yield entry
            token = next_token(page.token, tokens)
            if not token:
                return
