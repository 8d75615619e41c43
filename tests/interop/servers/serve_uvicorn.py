"""The interop server on uvicorn and Starlette."""

import asyncio

import uvicorn

from .lifeline import announce, bind
from .starlette_app import build_app


async def main() -> None:
    listener = bind()
    config = uvicorn.Config(build_app("uvicorn"), lifespan="off", log_level="warning")
    announce(listener)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main())
