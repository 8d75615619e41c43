"""The interop server on hypercorn and Starlette."""

import asyncio
from typing import cast

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import Framework

from .lifeline import announce, bind
from .starlette_app import build_app


async def main() -> None:
    listener = bind()
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.loglevel = "WARNING"
    announce(listener)
    await serve(cast(Framework, build_app("hypercorn")), config)


if __name__ == "__main__":
    asyncio.run(main())
