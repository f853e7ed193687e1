"""`uip call OPERATION [FIELD=VALUE ...]`: send any request by any protocol and print the reply as JSON.

Fields are named by their path: `externalId=E-1 relatedParty.id=C1 productOrderItem.0.productOffering=mobile-basic`; or the
whole body comes as JSON with --body (`-` reads standard input). Without --at the addresses of the demo site are used, with the
ports and the broker that the environment gives it (UIP_SOAP_PORT, UIP_MML_PORT, UIP_MML_FRAMED_PORT, UIP_AMQP_URL).
Exit codes: 0 answered, 1 refused (the fault is on standard error as JSON), 2 the gateway cannot be reached.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

HELP = "send any request by SOAP, MML or AMQP, and print the reply as JSON"

_DEFAULT_AT = {"soap": ("http://127.0.0.1:{}/soap", 8000), "mml": ("127.0.0.1:{}", 7776), "mml-framed": ("127.0.0.1:{}", 7778)}
_BROKER = "amqp://guest:guest@127.0.0.1:5672/%2F"
_DIALECTS = {"mml": "huawei-text", "mml-framed": "framed"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("operation", metavar="OPERATION", help="the request's name, SubmitProductOrder say")
    parser.add_argument("fields", nargs="*", metavar="FIELD=VALUE", help="fields by their paths")
    parser.add_argument("--body", metavar="JSON", help="the whole request as JSON; - reads it from standard input")
    parser.add_argument("--by", choices=(*_DEFAULT_AT, "amqp"), default="soap", help="the protocol (default soap)")
    parser.add_argument("--at", metavar="ADDRESS", help="a URL for soap and amqp, HOST:PORT for mml (default: the demo site's)")
    parser.add_argument("--party", default="crm", metavar="NAME", help="who asks (default crm); by AMQP it is whom the listener's "
                        "section names")
    parser.add_argument("--secret-env", metavar="NAME", help="the environment variable that holds the secret (default: NAME-secret, as "
                        "in the demo site)")
    parser.add_argument("--key", help="the idempotency key: asked again with the same key, the stored reply comes")
    parser.add_argument("--show", action="store_true", help="show the conversation on the wire, on standard error")


def run(args: argparse.Namespace) -> int:
    """Ask and print."""
    from core.messages.catalogue import OPERATIONS, Catalogue
    from core.messages.failures import Failure
    from gateway.clients import Unreachable
    from plugins.checking import checked

    client = None
    try:
        secret = secret_of(args.party, args.secret_env, os.environ)
        operation = Catalogue(o.name for o in OPERATIONS).operation(args.operation)
        request = checked(operation.request, body_of(args.fields, sys.stdin.read() if args.body == "-" else args.body))
        client = connect(args.by, args.at or default_at(args.by, os.environ), args.party, secret)
        reply = client.call(request, args.key)
    except Failure as failure:
        print(failure.fault().model_dump_json(exclude_none=True), file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"uip: {error}", file=sys.stderr)
        return 1
    except Unreachable as error:
        print(f"uip: {error}", file=sys.stderr)
        return 2
    finally:
        if client is not None:
            if args.show:
                print(*(f"{arrow} {text}" for arrow, text in client.said), sep="\n", file=sys.stderr)
            client.close()
    print(reply.model_dump_json(exclude_none=True, indent=2))
    return 0


def secret_of(party: str, variable: str | None, environment: Mapping[str, str]) -> str:
    """Find the party's secret, which is the demo's where no variable is named. Raises ValueError when that is not set."""
    if variable is None:
        return f"{party}-secret"
    if variable not in environment:
        raise ValueError(f"--secret-env: the environment has no {variable}")
    return environment[variable]


def default_at(by: str, environment: Mapping[str, str]) -> str:
    """Where the demo site listens when it is started in this environment."""
    from config.loader import port_variable

    if by == "amqp":
        return environment.get("UIP_AMQP_URL") or _BROKER
    address, port = _DEFAULT_AT[by]
    return address.format(environment.get(port_variable(by)) or port)


def connect(by: str, at: str, party: str, secret: str) -> Any:
    """Make the client of a protocol. Raises Unreachable, Failure(AUTHENTICATION), or ValueError for an address that is none."""
    if by == "soap":
        if not at.startswith(("http://", "https://")):
            raise ValueError(f"{at} is not http://HOST:PORT/soap")
        from gateway.clients.soap import SoapClient

        return SoapClient(at, party, secret)
    if by == "amqp":
        from gateway.clients.amqp import AmqpClient

        return AmqpClient(at)
    from config.documents import load_yaml
    from config.loader import BUNDLED
    from gateway.clients.mml import MmlClient

    host, _, port = at.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"{at} is not HOST:PORT")
    dialect = load_yaml(BUNDLED / "dialects" / f"{_DIALECTS[by]}.yaml").data
    return MmlClient(host, int(port), party, secret, dialect)


def body_of(fields: list[str], body: str | None) -> Any:
    """Put the request together from JSON and from fields by their paths. Raises ValueError."""
    try:
        whole: Any = json.loads(body, parse_float=str) if body else {}
    except json.JSONDecodeError as error:
        raise ValueError(f"--body is not JSON: {error}") from None
    for given in fields:
        path, equals, value = given.partition("=")
        if not equals or not path:
            raise ValueError(f"{given} is not FIELD=VALUE")
        whole = _put(whole, path.split("."), value)
    return whole


def _put(inside: Any, path: list[str], value: str) -> Any:
    if not path:
        return value
    name, rest = path[0], path[1:]
    if name.isdecimal():
        items = list(inside) if isinstance(inside, list) else []
        index = int(name)
        if index > len(items):
            raise ValueError(f"item {index} comes before item {len(items)}")
        items[index:index + 1] = [_put(items[index] if index < len(items) else {}, rest, value)]
        return items
    members = dict(inside) if isinstance(inside, dict) else {}
    members[name] = _put(members.get(name, {}), rest, value)
    return members
