from __future__ import annotations

import pytest
from pydantic import ValidationError

from adapters.amqp.settings import ListenerSettings, parse_url


@pytest.mark.parametrize(("text", "parts"), [
    ("amqp://user:pass@host:1000/vhost", (False, "host", 1000, "user", "pass", "vhost")),
    ("amqps://h", (True, "h", 5671, "guest", "guest", "/")),
    ("amqp://h/", (False, "h", 5672, "guest", "guest", "/")),
    ("amqp://h/%2F", (False, "h", 5672, "guest", "guest", "/")),
    ("amqp://us%61er:p%40ss%3A@h/a%2Fb", (False, "h", 5672, "usaer", "p@ss:", "a/b")),
    ("amqp://[::1]:5673/v", (False, "::1", 5673, "guest", "guest", "v")),
])
def test_uris_are_taken_apart(text, parts):
    url = parse_url(text)
    assert (url.secure, url.host, url.port, url.user, url.password, url.vhost) == parts
    if url.password != "guest":
        assert url.password not in str(url) + repr(url)


@pytest.mark.parametrize("text", ["", "host", "http://u:hush@h", "amqp://", "amqp://u:hush@h:port", "amqp://u:hush@h/a/b",
                                  "amqp://u:hush@h/?x=1"])
def test_what_is_no_uri_is_refused_without_showing_it(text):
    with pytest.raises(ValidationError) as refused:
        ListenerSettings.model_validate({"url": text})
    assert "hush" not in str(refused.value)


def test_one_url_or_several():
    assert len(ListenerSettings.model_validate({"url": "amqp://a"}).urls) == 1
    both = ListenerSettings.model_validate({"url": ["amqp://u:hush@a", "amqps://b"]})
    assert [url.host for url in both.urls] == ["a", "b"]
    assert "hush" not in repr(both)
    with pytest.raises(ValidationError):
        ListenerSettings.model_validate({"url": []})
