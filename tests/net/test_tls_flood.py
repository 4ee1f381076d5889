"""Handshakes whole and given up; `python -m tests.net.tls_flood` makes 50,000."""

import pytest

from tests.net import tls_flood


@pytest.mark.parametrize("kind", ["whole", "half"])
def test_no_file_is_left(run, kind, logs):
    async def main():
        return await tls_flood.flood(kind, 160, 1, 1, say=lambda line: None)

    _, files = run(main())
    assert files <= 0
    logs.take()
