"""The adapters in examples/: Prometheus's text, OpenTelemetry's spans."""

import asyncio
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastloop

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
pytestmark = [
    pytest.mark.usefixtures("fast_kind"),
    pytest.mark.skipif(
        fastloop.Task is asyncio.Task, reason="asyncio's own tasks are not observed"
    ),
]


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_example(name):
    return subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def test_text_for_prometheus():
    """Each line is as the format has it, each bucket holds those before it."""
    lines = run_example("prometheus").splitlines()
    sample = re.compile(r'(\w+)(\{\w+="(?:[^"\\]|\\.)*"\})? ([-+\d.e]+)')
    types, buckets = {}, []
    for line in lines:
        if line.startswith("#"):
            _, _, name, kind = line.split()
            assert name not in types
            types[name] = kind
            continue
        name, label, value = sample.fullmatch(line).groups()
        assert name in types or re.sub("_(bucket|count)$", "", name) in types
        if name == "fastloop_step_time_seconds_bucket":
            buckets.append(float(value))
        if label == '{coroutine="work"}':
            assert float(value) > 0.01
    assert buckets == sorted(buckets) and buckets[-1] > 10
    assert types["fastloop_steps_total"] == "counter"
    assert '{coroutine="work"}' in "\n".join(lines)


class Span:
    def __init__(self, name):
        self.name, self.attributes, self.exceptions, self.ends = name, {}, [], 0

    def set_attribute(self, key, value):
        self.attributes[key] = value

    def record_exception(self, exc):
        self.exceptions.append(exc)

    def end(self):
        self.ends += 1


class Tracer(list):
    def start_span(self, name):
        self.append(Span(name))
        return self[-1]


def test_spans_of_tasks():
    async def fails():
        await asyncio.sleep(0)
        raise ValueError

    async def main():
        await asyncio.gather(fails(), return_exceptions=True)

    tracer = Tracer()
    with example("telemetry").spans(tracer):
        loop = fastloop.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    first, second = tracer
    assert (first.name.rpartition(".")[2], first.ends) == ("main", 1)
    assert second.name.endswith("fails") and second.ends == 1
    assert second.attributes["task.steps"] == 2
    assert [type(exc) for exc in second.exceptions] == [ValueError]


def test_spans_of_opentelemetry():
    pytest.importorskip("opentelemetry.sdk")
    text = run_example("telemetry")
    assert text.count('"name": "child"') == 2
    assert '"task.steps": 2' in text
