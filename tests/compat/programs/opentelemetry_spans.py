"""OpenTelemetry's spans around coroutines."""

import asyncio
import os

os.environ["OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE"] = "watched"

from opentelemetry.instrumentation.asyncio import AsyncioInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from .where import here

seen = []


async def watched():
    seen.append(here())
    await asyncio.sleep(0.001)


async def main():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    AsyncioInstrumentor().instrument(tracer_provider=provider)
    await asyncio.gather(watched(), watched())
    return seen[0], [span.name for span in exporter.get_finished_spans()]
