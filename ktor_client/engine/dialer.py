"""Opening a connection: DNS, TCP or a Unix socket, a proxy's tunnel, TLS. No HTTP is spoken here.

Shared by the engines for what their libraries cannot do, or do wrongly. Every error that leaves
here is one of ours.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from ktor_client.engine.deadlines import Deadline, limit_before
from ktor_client.engine.error_table import ErrorTable, connect_timeout_error, tls_broken_off
from ktor_client.engine.happy_eyeballs import connect_first
from ktor_client.engine.phases import Phase
from ktor_client.engine.proxies import Proxy, environment_proxy
from ktor_client.engine.resolver import Resolver
from ktor_client.engine.settings import CONNECT_TIMEOUT
from ktor_client.engine.socket_options import SocketOptions
from ktor_client.engine.socket_stream import HANDSHAKE_LIMIT, SocketStream
from ktor_client.engine.tunnel import Exactly, Send, TunnelRefusedError
from ktor_client.errors import KtorClientError, ProxyError, TlsError
from ktor_client.http import HttpRequest, Url
from ktor_client.http.host import in_brackets, without_zone

__all__ = ["Dialer", "place_of"]

P = TypeVar("P", bound=asyncio.BaseProtocol)

_PIECE = 64 * 1024
"""Bytes of a proxy's answer that are read at a time."""


class Dialer:
    """Opens connections as an engine's options say."""

    def __init__(
        self,
        options: SocketOptions,
        errors: ErrorTable,
        default_context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        protocols: Sequence[str] = ("http/1.1",),
    ) -> None:
        """Take an engine's options, its errors, and the protocols it speaks over TLS (ALPN)."""
        self.options = options
        self._protocols = tuple(protocols)
        self._errors = errors
        self._proxy = None if options.proxy is None else Proxy(options.proxy)
        self._default_context = default_context
        self._context = options.ssl_context
        self._resolver = Resolver()

    @property
    def is_direct(self) -> bool:
        """Whether every connection goes to its host by TCP: no proxy, no Unix socket."""
        options = self.options
        return self._proxy is None and not options.trust_env and options.unix_socket is None

    def proxy_for(self, url: Url) -> Proxy | None:
        """Return the proxy that a URL goes through.

        Raises:
            ProxyError: the environment names a proxy that cannot be used.
        """
        if self._proxy is not None or not self.options.trust_env:
            return self._proxy
        try:
            return environment_proxy(url)
        except ValueError as error:
            raise ProxyError(
                f"{self._errors.engine} cannot use the proxy of the environment: {error}"
            ) from error

    def ssl_context(self) -> ssl.SSLContext:
        """Return the context for https and wss; a default one is made at first use."""
        if self._context is None:
            self._context = self._default_context()
            self._context.set_alpn_protocols(list(self._protocols))
        return self._context

    def deadline(self, request: HttpRequest | None = None, until: float | None = None) -> Deadline:
        """Begin to count `connect_timeout`, the request's own if it has one.

        There is no need to count where the caller has a timer that ends all at `until`, before it.
        """
        limit: float | None = self.options.connect_timeout
        if request is not None:
            limit = CONNECT_TIMEOUT.of(request, limit)
        return Deadline(limit_before(until, limit))

    def limited(self, where: str, deadline: Deadline) -> AbstractAsyncContextManager[None]:
        """Give an `async with` block what is left of the time; see `Deadline.limited`."""
        return deadline.limited(self._errors.engine, where)

    async def open(
        self, host: str, port: int, proxy: Proxy | None = None, deadline: Deadline | None = None
    ) -> SocketStream:
        """Connect to a host, through a proxy's tunnel where one is given.

        Raises:
            ConnectError: or `DnsError`, `TlsError`, `ProxyError`.
            ConnectTimeoutError: the deadline, by default `connect_timeout` from now, is over.
        """
        where, deadline = place_of(host, port), deadline or self.deadline()
        async with self.limited(where, deadline):
            if proxy is None:
                with self._mapped(where):
                    stream = await self._connect(SocketStream, host, port, where)
            else:
                stream = await self._open_tunnel(proxy, host, port)
        stream.where, stream.deadline = where, deadline
        return stream

    async def open_proxy(self, proxy: Proxy, deadline: Deadline | None = None) -> SocketStream:
        """Connect to a proxy itself, which is sent requests in absolute form (RFC 9112 3.2.2).

        Raises:
            ProxyError: it cannot be reached.
            ConnectTimeoutError: the deadline is over.
        """
        where, deadline = f"the proxy {proxy}", deadline or self.deadline()
        async with self.limited(where, deadline):
            stream = await self._reach(proxy)
        stream.where, stream.deadline = where, deadline
        return stream

    async def connect(
        self,
        factory: Callable[[], P],
        host: str,
        port: int,
        deadline: Deadline | None = None,
        *,
        secure: bool,
    ) -> P:
        """Connect to a host, past any proxy, with a protocol of the caller's.

        Raises what `open` and `start_tls` raise.
        """
        where = place_of(host, port)
        async with self.limited(where, deadline or self.deadline()):
            try:
                return await self._past_proxies(factory, host, port, where, secure=secure)
            except TlsError:
                raise
            except self._errors.foreign as error:
                raise self._translated(error, where) from error

    def _past_proxies(
        self, factory: Callable[[], P], host: str, port: int, where: str, *, secure: bool
    ) -> Coroutine[Any, Any, P]:
        return self._connect(factory, host, port, where, self.ssl_context() if secure else None)

    async def open_unix(self, path: str, deadline: Deadline | None = None) -> SocketStream:
        """Connect to a Unix domain socket. Raises what `open` raises."""
        deadline = deadline or self.deadline()
        async with self.limited(path, deadline):
            with self._mapped(path), Phase(f"connecting to {path}"):
                _, stream = await asyncio.get_running_loop().create_unix_connection(
                    SocketStream, path
                )
        stream.where, stream.deadline = path, deadline
        return stream

    async def start_tls(self, stream: SocketStream, host: str) -> None:
        """Put TLS on a connection; on failure it is closed. Raises what `open` raises."""
        try:
            async with self.limited(stream.where, stream.deadline or self.deadline()):
                with self._mapped(stream.where), _agreeing_on_tls(stream.where):
                    await stream.start_tls(self.ssl_context(), self._name_on_certificate(host))
                self._check_protocol(stream.transport, stream.where)
        except BaseException:
            stream.abort()
            raise

    async def _connect(
        self,
        factory: Callable[[], P],
        host: str,
        port: int,
        where: str,
        context: ssl.SSLContext | None = None,
    ) -> P:
        addresses = self._resolver.known(host, port)
        if addresses is None:
            with Phase(f"looking up {host}"):
                addresses = await self._resolver.addresses(host, port)
        with Phase(f"connecting to {where}"):
            try:
                connection = await connect_first(addresses)
            except BaseException:  # a cancellation too: by `connect_timeout`, as a rule
                self._resolver.forget(host, port)
                raise
            if context is None:
                try:
                    loop = asyncio.get_running_loop()
                    return (await loop.create_connection(factory, sock=connection))[1]
                except BaseException:
                    connection.close()
                    raise
        with _agreeing_on_tls(where):
            return await self._agree_on_tls(factory, host, where, connection, context)

    async def _agree_on_tls(
        self,
        factory: Callable[[], P],
        host: str,
        where: str,
        connection: socket.socket,
        context: ssl.SSLContext,
    ) -> P:
        made: list[P] = []

        def make() -> P:
            made.append(factory())
            return made[0]

        try:
            transport, protocol = await asyncio.get_running_loop().create_connection(
                make,
                sock=connection,
                ssl=context,
                server_hostname=self._name_on_certificate(host),
                ssl_handshake_timeout=HANDSHAKE_LIMIT,
            )
            self._check_protocol(transport, where)
        except BaseException:
            if made:
                _abort_tls(made[0])
            connection.close()
            raise
        return protocol

    def _name_on_certificate(self, host: str) -> str:
        return self.options.server_hostname or _name_on_certificates(host)

    def _check_protocol(self, transport: asyncio.Transport, where: str) -> None:
        """Check what the server has chosen of the protocols that a caller's context offers.

        Raises:
            TlsError: one that the engine does not speak.
        """
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        if chosen is not None and chosen not in self._protocols:
            known = ", ".join(map(repr, self._protocols))
            error = TlsError(
                f"{self._errors.engine} and {where} agreed by ALPN on {chosen!r}"
                f"{' (HTTP/2)' if chosen == 'h2' else ''}, which your ssl_context offers and the "
                f"engine does not speak; let it offer no more than that: "
                f"ssl_context.set_alpn_protocols([{known}])"
            )
            error.nothing_sent = True
            raise error

    async def _reach(self, proxy: Proxy) -> SocketStream:
        where = f"the proxy {proxy}"
        with self._mapped(where, proxy):
            place = place_of(proxy.host, proxy.port)
            stream = await self._connect(SocketStream, proxy.host, proxy.port, place)
            if proxy.has_tls:
                try:
                    with _agreeing_on_tls(where):
                        name = _name_on_certificates(proxy.host)
                        await stream.start_tls(self.ssl_context(), name)
                    self._check_protocol(stream.transport, where)
                except BaseException:
                    stream.abort()
                    raise
        return stream

    async def _open_tunnel(self, proxy: Proxy, host: str, port: int) -> SocketStream:
        stream = await self._reach(proxy)
        where = f"the proxy {proxy}"
        try:
            with self._mapped(where, proxy), Phase(f"waiting for {where}"):
                await _talk(stream, proxy, host, port)
        except BaseException:
            stream.abort()
            raise
        return stream

    @contextmanager
    def _mapped(self, where: str, proxy: Proxy | None = None) -> Generator[None, None, None]:
        try:
            yield
        except TunnelRefusedError as error:
            raise ProxyError(
                f"{self._errors.engine} got no tunnel through {where}: {error}"
            ) from error
        except TlsError as error:  # of the protocol's choice
            if proxy is None:
                raise
            raise ProxyError(str(error)) from None
        except self._errors.foreign as error:
            ours = self._translated(error, where)
            raise (ours if proxy is None else ProxyError(str(ours))) from error

    def _translated(self, error: Exception, where: str) -> KtorClientError:
        if isinstance(error, TimeoutError):  # the system's own patience is over
            limit = self.options.connect_timeout
            return connect_timeout_error(self._errors.engine, where, limit, error)
        ours = self._errors.translate(error, where)
        ours.nothing_sent = True
        return ours


@contextmanager
def _agreeing_on_tls(where: str) -> Generator[None, None, None]:
    try:
        with Phase(f"agreeing on TLS with {where}"):
            yield
    except KtorClientError:
        raise
    except ConnectionError as error:
        raise tls_broken_off(error) from error


def _abort_tls(protocol: asyncio.BaseProtocol) -> None:
    """Let a transport whose handshake was just done go of its socket, instead of taking leave."""
    transport: asyncio.Transport | None = getattr(protocol, "transport", None)
    if transport is not None:
        transport.abort()


async def _talk(stream: SocketStream, proxy: Proxy, host: str, port: int) -> None:
    conversation = proxy.converse(without_zone(host), port)
    try:
        step = next(conversation)
        while True:
            if isinstance(step, Send):
                await stream.write(step.data)
                answer = b""
            elif isinstance(step, Exactly):
                answer = await stream.read_exactly(step.size)
            else:
                answer = await stream.read(_PIECE)
                if not answer:
                    raise EOFError
            step = conversation.send(answer)
    except StopIteration as end:
        if (
            end.value or stream.has_unread
        ):  # no server speaks before it is asked: these are the proxy's
            raise TunnelRefusedError("it sent more than its answer") from None
    except EOFError:
        raise TunnelRefusedError("it closed the connection") from None


def _name_on_certificates(host: str) -> str:
    return without_zone(host).rstrip(".")  # a name may end in a dot, a certificate's does not


def place_of(host: str, port: int) -> str:
    """Return host and port, for messages."""
    return f"{in_brackets(host)}:{port}"
