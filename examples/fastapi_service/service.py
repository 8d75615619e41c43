"""A chat room: who has the token may enter, and everybody hears everybody.

uvicorn examples.fastapi_service.service:app
"""

import asyncio
from typing import Annotated

from fastapi import FastAPI, Header, WebSocket, WebSocketDisconnect

TOKEN = "let me in"

app = FastAPI()
people: dict[str, WebSocket] = {}


@app.get("/people")
async def list_people() -> list[str]:
    return sorted(people)


@app.websocket("/rooms/{name}")
async def enter(
    socket: WebSocket, name: str, authorization: Annotated[str | None, Header()] = None
) -> None:
    if authorization != f"Bearer {TOKEN}":
        await socket.close()  # before accept: the handshake is answered with 403
        return
    await socket.accept()
    people[name] = socket
    try:
        while True:
            text = await socket.receive_text()
            await asyncio.gather(
                *(other.send_text(f"{name}: {text}") for other in tuple(people.values()))
            )
    except WebSocketDisconnect:
        pass
    finally:
        del people[name]
