"""Fixtures of the desk: a scene, and clients for the people of the cast."""

from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.test import Client

from dabai.access.queries import forget_devices
from dabai.desk.tests.scene import Scene, make_scene
from dabai.journal import reference


@pytest.fixture(autouse=True)
def _nothing_remembered():
    reference.forget()
    forget_devices()
    cache.clear()


@pytest.fixture
def scene(db) -> Scene:
    """A small district at work."""
    return make_scene(120)


@pytest.fixture
def as_(scene: Scene) -> Callable[[str], Client]:
    """``as_("commander")`` is their browser, logged in; ``as_("")`` nobody's."""

    def browser(who: str) -> Client:
        client = Client()
        if who:
            client.force_login(getattr(scene.cast, who).user)
        return client

    return browser
