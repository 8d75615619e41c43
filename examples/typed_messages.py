"""Send a dataclass as JSON, and receive a dataclass.

python examples/typed_messages.py
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from ktor_client import DeserializationError, HttpClient, install
from ktor_client.plugins import JsonConverter, WebSockets
from ktor_client.testing import echo_server


@dataclass
class Customer:
    id: int
    first_name: str
    last_name: str
    emails: list[str] = field(default_factory=list[str])


async def main() -> None:
    plugin = install(WebSockets, content_converter=JsonConverter())
    async with echo_server() as server, HttpClient(None, plugin) as client:
        async with client.web_socket(f"{server.url}/echo") as session:
            await session.send_serialized(Customer(1, "Jane", "Smith", ["jane@example.org"]))
            customer = await session.receive_deserialized(Customer)
            print(f"received {customer}")

            await session.send('{"id": "one"}')
            try:
                await session.receive_deserialized(Customer)
            except DeserializationError as error:
                print(f"not a customer: {error}")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
