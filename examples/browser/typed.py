from dataclasses import dataclass

import ui  # the page around this program

from ktor_client import HttpClient, install
from ktor_client.plugins import JsonConverter, WebSockets


@dataclass
class Order:
    customer: int
    items: list[str]


async def main() -> None:
    plugin = install(WebSockets, content_converter=JsonConverter())
    async with HttpClient(None, plugin) as client:
        async with client.web_socket(ui.url()) as session:
            order = Order(0, ["apple", "banana"])
            await session.send_serialized(order)
            ui.show("sent", repr(order))

            back = await session.receive_deserialized(Order)
            ui.show("received", repr(back))
            print("the same:", back == order)
