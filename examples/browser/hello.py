import ui  # the page around this program

from ktor_client import HttpClient


async def main() -> None:
    async with HttpClient() as client:
        response = await client.get("/hello")
        print(response.status, response.headers["content-type"])
        ui.show("received", await response.body_as_text())
