"""Django: an async view through its ASGI handler, and a synchronous one in a thread."""

import asyncio

import django
from django.conf import settings

settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="not a secret", ALLOWED_HOSTS="*")
django.setup()

from django.http import HttpResponse  # noqa: E402
from django.test import AsyncClient  # noqa: E402
from django.urls import path  # noqa: E402

from .where import here  # noqa: E402

seen = []


async def view(request):
    await asyncio.sleep(0.001)
    seen.append(here())
    return HttpResponse("async")


def synchronous_view(request):
    return HttpResponse("sync")


urlpatterns = [path("async", view), path("sync", synchronous_view)]


async def main():
    client = AsyncClient()
    answers = [await client.get("/async"), await client.get("/sync")]
    return seen[0], [answer.content.decode() for answer in answers]
