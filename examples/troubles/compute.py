"""A handler computes for long, in Python."""

import asyncio

import fastloop


def is_prime(number):
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))


async def handler():
    while True:
        is_prime(1_000_000_000_000_037)
        await asyncio.sleep(0.1)


fastloop.run(handler())
