"""The real programs that server.py serves: frameworks, a database, gRPC, TLS."""

import json
import os
import socket
import ssl

BACKLOG = 1024
ROWS = 1000
POOL = 16  # as many as there are connections
DATABASE = "BENCHMARK_DATABASE"  # the URL of the database, for SQLAlchemy
CERTIFICATE = "BENCHMARK_CERTIFICATE"  # the file with a key and a certificate


def listening():
    """A TCP socket as a loop makes it for a server that is given a host.

    It names its protocol: where that is 0, asyncio does not set TCP_NODELAY, and an
    answer in two writes waits 40 ms for the client's delayed acknowledgement.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    return listener


async def under_uvicorn(application, ready, certificate=None):
    """Serve by uvicorn, as from its command line; over TLS with a certificate."""
    import uvicorn

    listener = listening()
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
    if certificate:
        config.load()
        config.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        config.ssl.load_cert_chain(certificate)
    ready(listener.getsockname()[1])
    await uvicorn.Server(config).serve(sockets=[listener])


def fastapi_application():
    """Two parameters that are checked, a model that is written as JSON."""
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Order(BaseModel):
        number: int
        name: str
        price: float

    application = FastAPI()

    @application.get("/orders/{number}")
    async def order(number: int, name: str = "none") -> Order:
        return Order(number=number, name=name, price=number / 8)

    return application


async def serve_fastapi(ready):
    """FastAPI under uvicorn."""
    await under_uvicorn(fastapi_application(), ready)


async def serve_fastapi_tls(ready):
    """The same over TLS."""
    certificate = os.environ[CERTIFICATE]
    await under_uvicorn(fastapi_application(), ready, certificate)


async def serve_fastapi_database(ready):
    """A request is a session of SQLAlchemy's, which gets one object by its key."""
    from fastapi import FastAPI
    from pydantic import BaseModel
    from sqlalchemy import insert
    from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

    class Base(DeclarativeBase):
        pass

    class Row(Base):
        __tablename__ = "orders"
        number: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

    class Order(BaseModel):
        number: int
        name: str

    engine = create_async_engine(os.environ[DATABASE], pool_size=POOL)
    sessions = async_sessionmaker(engine)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        rows = [{"number": n, "name": f"order {n}"} for n in range(ROWS)]
        await connection.execute(insert(Row), rows)
    application = FastAPI()

    @application.get("/orders/{number}")
    async def order(number: int) -> Order:
        async with sessions() as session:
            row = await session.get_one(Row, number)
            return Order(number=row.number, name=row.name)

    await under_uvicorn(application, ready)


async def serve_django(ready):
    """An async view of Django's by its ASGI handler, with its usual middleware."""
    import django
    from django.conf import settings

    settings.configure(
        ROOT_URLCONF=__name__,
        SECRET_KEY="not a secret",
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
    )
    django.setup()
    from django.core.asgi import get_asgi_application
    from django.http import JsonResponse
    from django.urls import path

    async def order(request, number):
        name = request.GET.get("name", "none")
        return JsonResponse({"number": number, "name": name, "price": number / 8})

    urlpatterns.append(path("orders/<int:number>", order))
    await under_uvicorn(get_asgi_application(), ready)


urlpatterns: list = []  # Django looks for it in this module


async def serve_grpc(ready):
    """A unary call of gRPC's, which answers JSON with JSON."""
    import grpc

    async def order(request, context):
        return json.dumps({**json.loads(request), "price": 1.5}).encode()

    server = grpc.aio.server()
    handlers = {"Order": grpc.unary_unary_rpc_method_handler(order)}
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("Shop", handlers)]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    ready(port)
    await server.wait_for_termination()


SERVERS = {
    "fastapi": serve_fastapi,
    "fastapi_tls": serve_fastapi_tls,
    "fastapi_database": serve_fastapi_database,
    "django": serve_django,
    "grpc": serve_grpc,
}
