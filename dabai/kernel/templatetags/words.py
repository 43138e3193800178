"""``{% say "desk.inbox.title" %}`` in templates; the language comes from the context's ``lang``."""

from typing import Any

from django import template

from dabai.kernel.words import say as say_words

register = template.Library()


@register.simple_tag(takes_context=True)
def say(context: dict[str, Any], key: str, **params: Any) -> str:
    """The text of ``key`` in the page's language."""
    return say_words(key, context.get("lang", "zh"), **params)
