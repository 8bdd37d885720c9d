"""Asks DNS servers in a thread of its own, at a bounded rate."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from ktrans.api import Clock, ConfigError
from ktrans_dns.answers import Answer

PORT = 53
FAILURE_SECS = 60.0
"""How long a failure is kept."""
_WAITING = 10_000
_SILENT_AFTER = 20
_CLOSE_SECS = 5.0
_PAYLOAD = 1232  # avoids fragments (DNS flag day 2020)


def server_of(text: str) -> tuple[str, int]:
    """Return address and port of `10.0.0.2`, `10.0.0.2:5353`, `2001:db8::53` or `[2001:db8::53]:53`.

    Raises:
        ValueError: it is none of these.
    """
    import ipaddress

    host, port = text, str(PORT)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, port = text.split(":")
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError(f"{text!r} has no valid port")
    return str(ipaddress.ip_address(host)), int(port)


class Resolver:
    """Answers questions in the background.

    Args:
        servers: addresses and ports; none for those of the system.
        timeout: how long one question may take.
        rate: questions a second.
        parallel: questions at a time.
        bounds: how long an answer is kept at least and at most, in seconds.
        clock: what tells the time at which answers expire.
        answered: called with each answer in the resolver's thread.

    Raises:
        ConfigError: the system has no DNS servers.
    """

    def __init__(
        self,
        servers: Sequence[tuple[str, int]],
        *,
        timeout: float,
        rate: float,
        parallel: int,
        bounds: tuple[float, float],
        clock: Clock,
        answered: Callable[[str, Answer], None],
    ) -> None:
        self._asks = _dns_resolver(servers, timeout)
        self._rate, self._bounds, self._clock = rate, bounds, clock
        self._answered = answered
        self._failures = 0
        self._stopping = False
        self._next = 0.0
        self._pending: dict[str, Future[Answer]] = {}
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._parallel = parallel
        self._thread = threading.Thread(target=self._run, name="ktrans-dns", daemon=True)
        self._thread.start()

    @property
    def silent(self) -> bool:
        """Whether the last questions have all failed."""
        return self._failures >= _SILENT_AFTER

    def ask(self, addresses: Sequence[str]) -> list[Future[Answer]]:
        """Ask for names; what is asked already is not asked again, and what does not fit is left out."""
        futures, new = [], []
        with self._lock:
            for text in addresses:
                future = self._pending.get(text)
                if future is None:
                    if len(self._pending) >= _WAITING:
                        continue
                    future = self._pending[text] = Future()
                    new.append(text)
                futures.append(future)
        if new:
            self._loop.call_soon_threadsafe(self._enqueue, new)
        return futures

    def close(self) -> None:
        """Stop asking; what is not answered stays so."""
        if not self._stopping:
            self._stopping = True
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_CLOSE_SECS)
        with self._lock:
            pending, self._pending = self._pending, {}
        for future in pending.values():
            future.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        workers = [self._loop.create_task(self._work()) for _ in range(self._parallel)]
        try:
            self._loop.run_forever()
        finally:
            for worker in workers:
                worker.cancel()
            self._loop.run_until_complete(asyncio.gather(*workers, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _enqueue(self, addresses: Sequence[str]) -> None:
        for text in addresses:
            self._queue.put_nowait(text)

    async def _work(self) -> None:
        while not self._stopping:  # `asyncio.wait_for` of Python 3.11 may lose a cancellation
            text = await self._queue.get()
            await self._turn()
            answer = await self._question(text)
            self._failures = self._failures + 1 if answer.failed else 0
            self._answered(text, answer)
            with self._lock:
                future = self._pending.pop(text, Future())
            if not future.cancelled():
                future.set_result(answer)

    async def _turn(self) -> None:
        """Wait until the rate allows another question."""
        now = self._loop.time()
        at = max(now, self._next)
        self._next = at + 1 / self._rate
        if at > now:
            await asyncio.sleep(at - now)

    async def _question(self, text: str) -> Answer:
        import dns.exception
        import dns.resolver
        import dns.reversename
        import dns.ttl

        name = dns.reversename.from_address(text)
        try:
            response = (
                await self._asks.resolve(name, "PTR", raise_on_no_answer=False, search=False)
            ).response
        except dns.resolver.NXDOMAIN as error:
            response = error.kwargs["responses"][name]
        except (dns.exception.DNSException, OSError):
            return self._failure()
        try:
            found = response.resolve_chaining()
        except dns.exception.DNSException:
            return self._failure()
        names = sorted(_text(one) for one in found.answer or ())
        least, most = self._bounds
        # Without a SOA record a negative answer has no time.
        ttl = 0 if found.minimum_ttl == dns.ttl.MAX_TTL else found.minimum_ttl
        return Answer(next(iter(names), None), self._now() + min(max(ttl, least), most))

    def _failure(self) -> Answer:
        return Answer(None, self._now() + FAILURE_SECS, failed=True)

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _text(record: Any) -> str:
    name: str = record.target.to_text(omit_final_dot=True)
    return name.lower()


def _dns_resolver(servers: Sequence[tuple[str, int]], timeout: float) -> Any:
    import dns.asyncresolver
    import dns.nameserver
    import dns.resolver

    try:
        made = dns.asyncresolver.Resolver(configure=not servers)
    except dns.resolver.NoResolverConfiguration as error:
        raise ConfigError(
            "dns: this system has no DNS servers", field="servers", hint="name some in `servers`"
        ) from error
    if servers:
        made.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in servers]
    made.lifetime = timeout
    made.timeout = timeout / max(len(made.nameservers), 1)
    made.use_edns(0, 0, _PAYLOAD)
    return made


def check_servers(servers: Sequence[tuple[str, int]], timeout: float) -> str | None:
    """Ask for the name of 127.0.0.1; return what is wrong if no server answers."""
    import dns.exception
    import dns.resolver
    import dns.reversename

    name = dns.reversename.from_address("127.0.0.1")

    async def ask() -> None:
        resolver = _dns_resolver(servers, timeout)
        await resolver.resolve(name, "PTR", raise_on_no_answer=False, search=False)

    try:
        asyncio.run(ask())
    except dns.resolver.NXDOMAIN:
        return None
    except (dns.exception.DNSException, OSError) as error:
        return str(error)
    return None
