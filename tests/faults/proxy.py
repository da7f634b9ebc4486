"""A TCP proxy that can be told to misbehave: cut, swallow, hold, delay."""

import asyncio
import socket
import struct
import threading
import time
from typing import List, Optional, Set, Tuple

BLOCK = 1 << 16


class Connection:
    """One client's connection and the server's side of it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.began = time.monotonic()

    def reset(self) -> None:
        """Both sides see a reset, not an orderly end."""
        for writer in (self.client, self.server):
            peer = writer.get_extra_info("socket")
            try:
                if peer is not None:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                # Its peer has closed it in this very moment.
                pass
            writer.transport.abort()


class Proxy:
    """Between clients and a server; what it did is counted, so that effects can be told from attempts."""

    def __init__(self, host: str, port: int) -> None:
        # Taken in turn, as a load balancer does; those that take no connection are passed over.
        self.targets: List[Tuple[str, int]] = [(host, port)]
        self.connections: Set[Connection] = set()
        self.opened: List[float] = []
        self.cut_connections = self.swallowed_up = self.swallowed_down = self.held = self.delayed = 0
        # Of bytes that go up to the server, and down from it.
        self.swallow_up = self.swallow_down = self.black_hole = self.refuse = False
        self.delay = 0.0
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened.append(time.monotonic())
        if self.refuse:
            writer.transport.abort()
            return
        for _ in self.targets:
            self.targets.append(self.targets.pop(0))
            try:
                up_reader, up_writer = await asyncio.open_connection(*self.targets[-1])
                break
            except OSError:
                continue
        else:
            writer.transport.abort()
            return
        connection = Connection(writer, up_writer)
        self.connections.add(connection)
        try:
            await asyncio.gather(self._pump(reader, up_writer, True), self._pump(up_reader, writer, False))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections.discard(connection)
            for side in (writer, up_writer):
                side.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, up: bool) -> None:
        while True:
            block = await reader.read(BLOCK)
            if not block:
                # The end of one side is the end of both.
                raise ConnectionResetError
            if self.black_hole:
                self.held += 1
                while self.black_hole:
                    await asyncio.sleep(0.05)
                # What was dropped never comes: the stream is broken for good.
                raise ConnectionResetError
            if up and self.swallow_up:
                self.swallowed_up += 1
                continue
            if not up and self.swallow_down:
                self.swallowed_down += 1
                continue
            if self.delay:
                self.delayed += 1
                await asyncio.sleep(self.delay)
            writer.write(block)
            await writer.drain()

    def cut(self) -> int:
        """Resets every connection; how many there were."""
        done: "asyncio.Future[int]" = asyncio.run_coroutine_threadsafe(self._cut(), self._loop)  # type: ignore[assignment]
        return done.result()

    async def _cut(self) -> int:
        count = len(self.connections)
        for connection in list(self.connections):
            connection.reset()
        self.cut_connections += count
        return count

    def opened_after(self, moment: float) -> Optional[float]:
        """When the first connection after a moment was asked for."""
        return min((opened for opened in list(self.opened) if opened > moment), default=None)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
