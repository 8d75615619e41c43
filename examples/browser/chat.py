import asyncio

import ui  # the page around this program

from ktor_client import HttpClient, WebSocketSession, install
from ktor_client.plugins import WebSockets


async def send_what_is_typed(session: WebSocketSession) -> None:
    while True:
        message = await ui.typed()
        await session.send(message)
        ui.show("sent", message)


async def main() -> None:
    async with HttpClient(None, install(WebSockets)) as client:
        async with client.web_socket(ui.url()) as session:
            ui.opened()
            typing = asyncio.create_task(send_what_is_typed(session))
            try:
                async for message in session:
                    ui.show("received", message)
            finally:
                typing.cancel()
        print("closed:", await session.close_reason)
