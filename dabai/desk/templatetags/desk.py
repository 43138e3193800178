"""Template tags of the desk: words with the page's language, numbers, times, icons, and addresses of static files."""

import hashlib
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django import template
from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dabai.desk import formats
from dabai.desk.shell import case_words
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import known, say_refusal
from dabai.kernel.words import say as say_words

register = template.Library()


@cache
def digest_of(path: str) -> str:
    """The first characters of a static file's digest, so that its address changes with its content."""
    found = finders.find(path)
    if not isinstance(found, str):
        raise LookupError(path)
    with open(found, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:12]


@register.simple_tag
def asset(path: str) -> str:
    """The address of a static file, with its digest."""
    return f"{static(path)}?v={digest_of(path)}"


@register.simple_tag
def icon(name: str) -> SafeString:
    """A symbol of our own set; what it means stands beside it in words."""
    sheet = asset("desk/icons.svg")
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', sheet, name)


@register.simple_tag(takes_context=True)
def say(context: dict[str, Any], key: str, **params: Any) -> str:
    """The text of ``key`` in the page's language."""
    return say_words(key, context.get("lang", "zh"), **params)


@register.simple_tag(takes_context=True)
def say_or(context: dict[str, Any], prefix: str, name: Any, **params: Any) -> str:
    """The text of ``prefix.name``; the name itself where the catalogue has none (a code made elsewhere)."""
    key = f"{prefix}.{name}"
    return say_words(key, context.get("lang", "zh"), **params) if known(key) else str(name)


@register.simple_tag(takes_context=True)
def refusal(context: dict[str, Any], found: Refusal) -> str:
    """The sentence of a refusal."""
    return say_refusal(found, context.get("lang", "zh"))


@register.simple_tag(takes_context=True)
def when(context: dict[str, Any], moment: datetime | None) -> str:
    """A moment in the business zone."""
    return formats.when(moment, context.get("lang", "zh"))


@register.simple_tag(takes_context=True)
def day(context: dict[str, Any], moment: datetime | None) -> str:
    """A day in the business zone."""
    return formats.day(moment, context.get("lang", "zh"))


@register.simple_tag(takes_context=True)
def lasting(context: dict[str, Any], span: timedelta | float | None) -> str:
    """A duration."""
    return formats.duration(span, context.get("lang", "zh"))


@register.filter
def num(value: float | None) -> str:
    """A number with separators; — where it is not known."""
    return formats.number(value)


@register.simple_tag
def percent(part: float | None, whole: float | None) -> str:
    """A percentage; stands beside its two counts."""
    return formats.percent(part, whole)


@register.filter
def get(mapping: dict[Any, Any], key: Any) -> Any:
    """The value of a key that is a variable."""
    return mapping.get(key, "")


@register.filter
def get_item(items: list[Any], place: int) -> Any:
    """The item at a place that is a variable."""
    return items[place]


@register.simple_tag(takes_context=True)
def case_name(context: dict[str, Any], code: str) -> str:
    """What a case of the inbox is called."""
    return say_words(case_words(code), context.get("lang", "zh"))
