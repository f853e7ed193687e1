from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.amqp.bodies import read_body, read_xml, write_body
from protocols.base import LocalProtocolError, RemoteProtocolError

NAMES = st.text("abcdefgXYZ_", min_size=1, max_size=6).filter(lambda name: name != "_text")
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn"))).filter(lambda t: t.strip())
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-10**9, max_value=10**9)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | TEXTS | DECIMALS,
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=10)
XML = st.recursive(TEXTS, lambda inner: st.dictionaries(NAMES, inner | st.lists(inner, min_size=2, max_size=3), min_size=1, max_size=3),
                   max_leaves=10)


@given(st.dictionaries(TEXTS, JSON, max_size=4))
def test_json_comes_out_as_it_went_in(fields):
    data = write_body("json", fields)
    assert read_body("json", data) == fields
    json.loads(data)


@given(st.dictionaries(NAMES, XML | st.lists(XML, min_size=2, max_size=3), min_size=1, max_size=4))
def test_xml_comes_out_as_it_went_in(fields):
    assert read_body("xml", write_body("xml", fields, root="root", namespace="urn:x")) == fields


def element(names, texts):
    """An element as others may write it: prefixes, attributes, texts before and behind what is inside, or nothing in it."""
    def put_together(name, prefix, attributes, before, inside):
        said = "".join(f' {key}="{value}"' for key, value in attributes.items())
        content = before + "".join(child + behind for child, behind in inside)
        return f"<{prefix}{name}{said}>{content}</{prefix}{name}>" if content else f"<{prefix}{name}{said}/>"

    def with_inside(inner):
        children = st.lists(st.tuples(inner, texts), max_size=4)
        attributes = st.dictionaries(names | names.map("p:".__add__), texts, max_size=2)
        return st.builds(put_together, names, st.sampled_from(["", "p:"]), attributes, texts, children)

    return st.recursive(st.just("<a/>"), with_inside, max_leaves=12)


def outcome(body):
    """What is read; None where it is refused, for what is too deep and broken too may be told either."""
    try:
        return read_xml(body)
    except RemoteProtocolError:
        return None


@given(element(st.sampled_from(["a", "b", "_text", "c-d"]), st.sampled_from(["", " ", "\n ", "x", "&amp;&#13;", " y z "])),
       st.sampled_from(["", "</p:r>", "<", "&b;", "\x00"]), st.integers(0, 70))
def test_a_text_says_the_same_as_its_bytes(inside, spoilt, deep):
    body = f'<p:r xmlns:p="urn:p">{"<d>" * deep}{inside}{"</d>" * deep}{spoilt}</p:r>'
    assert outcome(body) == outcome(body.encode())


@given(NAMES, TEXTS, TEXTS)
def test_attributes(name, value, text):
    data = write_body("xml", {"e": {name: value, "_text": text}}, root="r", attributes=[f"e.{name}"])
    assert read_body("xml", data) == {"e": {name: value, "_text": text}}


@given(kind=st.sampled_from(["json", "xml"]),
       body=st.binary(max_size=100) | st.text(max_size=100).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_whatever_arrives_only_codec_errors_come_out(kind, body):
    with suppress(RemoteProtocolError):
        assert isinstance(read_body(kind, body), dict)


@pytest.mark.parametrize("body", [b"[]", b"1", b"NaN", b'{"a": NaN}', b"", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_no_json_object_is_refused(body):
    with pytest.raises(RemoteProtocolError):
        read_body("json", body)


@pytest.mark.parametrize("body", [
    b"", b"<a>", b"<a/><b/>", b"<a>" * 100 + b"</a>" * 100, b"<!DOCTYPE a><a/>", b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b'<?xml version="1.0" encoding="no-such"?><a/>', b"<a>&b;</a>"])
def test_xml_that_is_broken_or_dangerous_is_refused(body):
    with pytest.raises(RemoteProtocolError):
        read_body("xml", body)


def test_numbers_keep_their_digits():
    assert write_body("json", {"a": Decimal("40.10"), "b": Decimal("1E+3"), "c": 10**30}) == b'{"a":40.10,"b":1000,"c":%d}' % 10**30
    assert read_body("json", b'{"a": 40.10}')["a"].as_tuple() == Decimal("40.10").as_tuple()
    assert write_body("xml", {"a": Decimal("1E+3"), "b": True, "c": None}, root="r") == b"<r><a>1000</a><b>true</b><c/></r>"


def test_repeated_elements_are_a_list_and_namespaces_do_not_matter():
    assert read_body("xml", b'<r xmlns="urn:a" xmlns:b="urn:b"><i>1</i><b:i>2</b:i><i k="v">3</i></r>') == {
        "i": ["1", "2", {"k": "v", "_text": "3"}]}
    assert read_body("xml", b"<r>text</r>") == {"_text": "text"}
    assert read_body("xml", b"<r/>") == {}


@pytest.mark.parametrize(("kind", "fields", "root"), [
    ("xml", {"a b": "c"}, "r"), ("xml", {"a": "\x01"}, "r"), ("xml", {"a": "\ud800"}, "r"), ("xml", {}, "1"), ("xml", {"<": "x"}, "r"),
    ("json", {"a": Decimal("NaN")}, "")])
def test_what_cannot_be_said_is_not_sent(kind, fields, root):
    with pytest.raises(LocalProtocolError):
        write_body(kind, fields, root=root)
