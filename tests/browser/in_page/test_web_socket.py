"""The session API over the browser's own web sockets."""

from ktor_client import HttpClient, Frame

from .conftest import Site


async def test_text_and_binary(client: HttpClient, site: Site, name: str) -> None:
    async with client.web_socket(site.ws(f"/ws/echo?id={name}")) as session:
        await session.send("grüß dich")
        assert await session.incoming.receive() == Frame.Text("grüß dich")
        await session.send(b"\x00\xff")
        assert await session.incoming.receive() == Frame.Binary(b"\x00\xff")
    seen = await site.seen(name)
    assert (seen["code"], seen["messages"]) == (1000, 2)
