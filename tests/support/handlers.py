"""A handler of every kind, in both styles, on a real server with the real interceptors and raw bytes as messages."""

import contextlib

import grpc

from serving.calls import response, responses
from serving.interceptors import ErrorInterceptor, uploading
from support.fake_service import stream_of

STYLES = [
    *("UnaryUnary", "UnaryUpload", "StreamUnary"),
    *("UnaryStream", "StreamStream", "UnaryGenerator", "StreamGenerator"),
]
UPLOADS = [style for style in STYLES if style.startswith("Stream") or style == "UnaryUpload"]


class Kinds:
    """One method of each kind; all do `work` after the first answer, where there can be one."""

    def __init__(self, work):
        self.work = work

    async def unary(self, request, context):
        await self.work(context)
        return b"done"

    @uploading
    async def upload(self, request, context):
        return await self.unary(request, context)

    async def write(self, request, context):
        await context.write(b"first")
        await self.work(context)
        await context.write(b"done")

    async def generate(self, request, context):
        yield b"first"
        await self.work(context)
        yield b"done"

    def handlers(self):
        return {
            "UnaryUnary": grpc.unary_unary_rpc_method_handler(self.unary),
            "UnaryUpload": grpc.unary_unary_rpc_method_handler(self.upload),
            "StreamUnary": grpc.stream_unary_rpc_method_handler(self.unary),
            "UnaryStream": grpc.unary_stream_rpc_method_handler(self.write),
            "StreamStream": grpc.stream_stream_rpc_method_handler(self.write),
            "UnaryGenerator": grpc.unary_stream_rpc_method_handler(self.generate),
            "StreamGenerator": grpc.stream_stream_rpc_method_handler(self.generate),
        }


async def call(channel, style, **arguments):
    """The last answer."""
    path = f"/test.Kinds/{style}"
    request = stream_of([b"ask"]) if style.startswith("Stream") else b"ask"
    match style:
        case "UnaryUnary" | "UnaryUpload":
            return await channel.unary_unary(path)(request, **arguments)
        case "StreamUnary":
            return await response(channel.stream_unary(path)(request, **arguments))
        case "UnaryStream" | "UnaryGenerator":
            return [answer async for answer in responses(channel.unary_stream(path)(request, **arguments))][
                -1
            ]
        case _:
            return [answer async for answer in responses(channel.stream_stream(path)(request, **arguments))][
                -1
            ]


@contextlib.asynccontextmanager
async def served(work, *interceptors):
    server = grpc.aio.server(interceptors=[ErrorInterceptor(), *interceptors])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Kinds", Kinds(work).handlers()),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


def raising(error):
    async def work(context):
        raise error

    return work


async def quiet(context): ...
