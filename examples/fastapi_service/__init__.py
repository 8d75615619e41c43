"""A FastAPI service with a chat room, and its tests: `pytest examples/fastapi_service`."""
