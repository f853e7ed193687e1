"""A site's files, read and checked as a whole: every mistake at once, or a `Site` that can be run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from config.documents import Document, Problem, SiteError, Where, load_yaml
from config.sections import taken_ports, wrong_references
from config.served import read_definition
from config.settings import Settings
from core.billing.catalog import Tariff
from core.credit.policy import CreditPolicy
from core.messages.catalogue import OPERATIONS
from core.orders.catalog import Offering
from core.provisioning.catalog import Pool, Recipe, checked_catalog
from protocols.mapping import Definition
from protocols.mml import Dialect, DialectError
from protocols.wording import nearest

BUNDLED = Path(__file__).parent / "site"
"""Files that come with the gateway: dialects for every site, and what `uip init` copies."""

Models = Mapping[str, type[BaseModel] | None]
"""For each transport, the model that checks a section of uip.yaml; None where the transport has no such side."""

_CATALOG: Mapping[str, type[BaseModel]] = {"offerings": Offering, "recipes": Recipe, "pools": Pool, "tariffs": Tariff}

_OPERATIONS = frozenset(operation.name for operation in OPERATIONS)


@dataclass(frozen=True, slots=True)
class Section:
    """One listener or connector: which transport carries it, and its settings as that transport's adapter has them."""

    transport: str
    settings: Any


@dataclass(frozen=True, slots=True)
class Site:
    """Everything an operator wrote, checked. Catalogue entries are by id, dialects and protocols by name; `attachments` is a
    digest of what else protocol files may refer to (WSDLs, say); `bus` is the broker's section where processes share the work.
    `main` is uip.yaml with what the environment has put in it.
    """

    folder: Path
    main: Document = field(repr=False)
    settings: Settings
    credit: CreditPolicy
    listeners: Mapping[str, Section] = field(default_factory=dict)
    connectors: Mapping[str, Section] = field(default_factory=dict)
    dialects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    protocols: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    offerings: Mapping[str, Offering] = field(default_factory=dict)
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    tariffs: Mapping[str, Tariff] = field(default_factory=dict)
    attachments: str = ""
    bus: Any = None


def load(folder: Path, listeners: Models, connectors: Models, environment: Mapping[str, str] = os.environ,
         bus: type[BaseModel] | None = None) -> Site:
    """Read a site. Raises SiteError with every mistake found. `bus` checks the section of that name.

    From the environment come ports (`UIP_<NAME>_PORT` of a listener or connector, dashes as underscores; `UIP_CONSOLE_PORT`),
    `UIP_AMQP_URL`, `UIP_BUS_URL` and `UIP_DATABASE_URL`; in uip.yaml any value may be `{env: NAME}` or `{file: PATH}`, which
    keeps secrets out of it.
    """
    return _Loading(folder, listeners, connectors, environment, bus).site()


def _digest(folder: Path) -> str:
    digest = sha256()
    for file in sorted(f for f in folder.rglob("*") if f.is_file() and f.suffix != ".yaml"):
        digest.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _once(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Tell what is missing at several places once, at the first of them."""
    found: dict[str, list[Problem]] = {}
    for problem in problems:
        found.setdefault(problem.message, []).append(problem)
    for first, *others in found.values():
        wanting = ", ".join(f"{other.path} (line {other.line})" for other in others)
        yield replace(first, message=f"{first.message}; it is wanted by {wanting} too") if others else first


def _allowed(parties: Any) -> Iterator[tuple[Where, str]]:
    """Find the operations of each party, as far as they are written as they should be."""
    for index, party in enumerate(parties if isinstance(parties, list) else ()):
        operations = party.get("operations") if isinstance(party, dict) else None
        for number, name in enumerate(operations if isinstance(operations, list) else ()):
            if isinstance(name, str):
                yield ("parties", index, "operations", number), name


def port_variable(name: str) -> str:
    """Return the environment variable that sets a listener's or connector's port."""
    return f"UIP_{re.sub('[-.]', '_', name).upper()}_PORT"


class _Loading:
    def __init__(self, folder: Path, listeners: Models, connectors: Models, environment: Mapping[str, str],
                 bus: type[BaseModel] | None) -> None:
        self._folder = folder
        self._listeners = listeners
        self._connectors = connectors
        self._environment = environment
        self._bus = bus
        self._problems: list[Problem] = []
        self._unresolved: list[Problem] = []

    def site(self) -> Site:
        if not (self._folder / "uip.yaml").is_file():
            raise SiteError([Problem(self._folder / "uip.yaml", 1, "", "is missing: DIR is a site's folder; `uip init DIR` writes one")])
        dialects = self._named("dialects", "dialect", self._check_dialect, also=BUNDLED / "dialects")
        protocols = self._named("protocols", "protocol", lambda d: self._check_protocol(d, dialects))
        catalog = self._catalog()
        credit = self._credit()
        main = self._main()
        settings: Settings | None = main.checked(Settings, (), self._problems) if main is not None else None
        listeners: dict[str, Section] = {}
        connectors: dict[str, Section] = {}
        bus = main.checked(self._bus, ("bus",), self._problems) if main is not None and self._bus and main.data.get("bus") else None
        if main is not None:
            listeners = self._sections(main, "listeners", self._listeners, protocols)
            connectors = self._sections(main, "connectors", self._connectors, protocols)
            self._check_sections(main, settings, listeners, connectors, dialects)
        self._cross_check(main, credit, catalog)
        if self._problems or self._unresolved or main is None or settings is None or credit is None:
            missing = {(p.file, p.path) for p in self._unresolved}  # nothing stands there, which is no second mistake
            raise SiteError(sorted([*_once(self._unresolved), *(p for p in self._problems if (p.file, p.path) not in missing)],
                                   key=lambda p: (str(p.file), p.line)))
        entries: dict[str, Any] = {kind: {name: e for name, (_, _, e) in found.items()} for kind, found in catalog.items()}
        return Site(self._folder, main, settings, credit[1], listeners, connectors,
                    dialects={name: d.data for name, d in dialects.items()},
                    protocols={name: d.data for name, d in protocols.items()},
                    offerings=entries["offerings"], recipes=entries["recipes"], pools=entries["pools"], tariffs=entries["tariffs"],
                    bus=bus, attachments=_digest(self._folder / "protocols"))

    def _read(self, file: Path) -> Document | None:
        try:
            return load_yaml(file)
        except SiteError as error:
            self._problems += error.problems
            return None

    def _files(self, folder: Path) -> Iterable[Document]:
        for file in sorted(folder.glob("*.yaml")):
            document = self._read(file)
            if document is None:
                continue
            if isinstance(document.data, dict):
                yield document
            else:
                self._problems.append(document.problem((), "must be a mapping"))

    def _named(self, folder: str, key: str, check: Callable[[Document], None], also: Path | None = None) -> dict[str, Document]:
        """Read the files of a folder by the name each gives itself. The site's own stand before the bundled ones."""
        found: dict[str, Document] = {}
        for document in self._files(self._folder / folder):
            name = document.data.get(key)
            if not isinstance(name, str):
                self._problems.append(document.problem((key,), f"the file must say `{key}: NAME`"))
            elif name in found:
                self._problems.append(document.problem((key,), f"{name} is also in {found[name].file.name}"))
            else:
                found[name] = document
                check(document)
        for document in self._files(also) if also else ():
            found.setdefault(document.data[key], document)
        return found

    def _check_dialect(self, document: Document) -> None:
        try:
            Dialect.load(document.data)
        except DialectError as error:
            listed = getattr(error, "problems", None) or [((), str(error))]
            self._problems += (document.problem(tuple(where), text) for where, text in listed)

    def _check_protocol(self, document: Document, dialects: Mapping[str, Document]) -> None:
        definition, wrong = read_definition(document.data)
        self._problems += (document.problem(where, text) for where, text in wrong)
        if definition is None:
            return
        if definition.transport == "soap":
            self._check_contract(document, definition)
        if definition.dialect is not None and definition.dialect not in dialects:
            self._problems.append(document.problem(
                ("dialect",), f"no dialect {definition.dialect}{nearest(definition.dialect, dialects)}"))

    def _check_contract(self, document: Document, definition: Definition) -> None:
        """Hold a protocol file over SOAP against the WSDL it names."""
        from protocols.soap.foreign import check  # what reads WSDLs is slow to load, and not every site needs it

        wrong, elsewhere = check(definition, document.file.parent)
        self._problems += (document.problem(where, text) for where, text in wrong)
        self._problems += (Problem(p.file, max(p.line, 1), "", p.message) for p in elsewhere)

    def _catalog(self) -> dict[str, dict[str, tuple[Document, Where, Any]]]:
        """Read catalog/*.yaml: any file may hold any kind of entry."""
        catalog: dict[str, dict[str, tuple[Document, Where, Any]]] = {kind: {} for kind in _CATALOG}
        for document in self._files(self._folder / "catalog"):
            for kind, entries in document.data.items():
                if kind not in _CATALOG:
                    self._problems.append(document.problem((kind,), f"is not known here{nearest(str(kind), _CATALOG)}"))
                    continue
                for index in range(len(entries or ())):
                    where: Where = (kind, index)
                    entry = document.checked(_CATALOG[kind], where, self._problems)
                    if entry is None:
                        continue
                    if entry.id in catalog[kind]:
                        self._problems.append(document.problem((*where, "id"), f"{entry.id} stands twice"))
                    catalog[kind][entry.id] = (document, where, entry)
        return catalog

    def _credit(self) -> tuple[Document, CreditPolicy] | None:
        file = self._folder / "policies" / "credit.yaml"
        document = self._read(file)
        if document is None:
            return None
        if not isinstance(document.data, dict) or not isinstance(document.data.get("credit"), dict):
            self._problems.append(document.problem((), "must hold a section `credit:`"))
            return None
        policy = document.checked(CreditPolicy, ("credit",), self._problems)
        return (document, policy) if policy is not None else None

    def _main(self) -> Document | None:
        document = self._read(self._folder / "uip.yaml")
        if document is None:
            return None
        if not isinstance(document.data, dict):
            self._problems.append(document.problem((), "must be a mapping"))
            return None
        data = self._resolved(document, document.data, ())
        variables = self._from_environment(data)
        amqp, listeners = data.pop("amqp", None), data.get("listeners")
        if not (isinstance(amqp, dict) and amqp.get("url") and isinstance(listeners, dict) and "amqp" not in listeners):
            return replace(document, data=data, variables=variables)
        listeners["amqp"] = {"transport": "amqp", **amqp}
        return replace(document, data=data, variables=variables, moved={("listeners", "amqp"): ("amqp",)})

    def _resolved(self, document: Document, value: Any, where: Where) -> Any:
        """Put what `{env: NAME}` and `{file: PATH}` refer to in their places."""
        if isinstance(value, list):
            return [self._resolved(document, item, (*where, index)) for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if set(value) == {"env"}:
            found = self._environment.get(str(value["env"]))
            if found is None:
                self._unresolved.append(document.problem(where, f"the environment has no {value['env']}"))
            return found
        if set(value) == {"file"}:
            try:
                return (self._folder / str(value["file"])).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                self._unresolved.append(document.problem(where, f"{value['file']} cannot be read"))
                return None
        return {key: self._resolved(document, inner, (*where, key)) for key, inner in value.items()}

    def _from_environment(self, data: dict[str, Any]) -> dict[Where, str]:
        """Put the environment's values in their places; returns which variable has given each."""
        variables: dict[Where, str] = {("console", "port"): "UIP_CONSOLE_PORT", ("database", "url"): "UIP_DATABASE_URL",
                                       ("amqp", "url"): "UIP_AMQP_URL", ("bus", "url"): "UIP_BUS_URL"}
        for kind in ("listeners", "connectors"):
            sections = data.get(kind)
            for name, section in sections.items() if isinstance(sections, dict) else ():
                if isinstance(section, dict):
                    variables[kind, name, "port"] = port_variable(str(name))
        given = {where: variable for where, variable in variables.items() if self._environment.get(variable)}
        for (*around, key), variable in given.items():
            inner: Any = data
            for name in around:
                if isinstance(inner, dict):
                    inner[name] = inner.get(name) or {}
                    inner = inner[name]
            if isinstance(inner, dict):
                inner[key] = self._environment[variable]
        return given

    def _sections(self, main: Document, kind: str, models: Models, protocols: Mapping[str, Document]) -> dict[str, Section]:
        sections: dict[str, Section] = {}
        given = main.data.get(kind)
        for name, section in given.items() if isinstance(given, dict) else ():
            where = (kind, name)
            if not isinstance(section, dict):
                continue  # the settings' own check says so
            protocol = section.get("protocol")
            if protocol is not None and protocol not in protocols:
                self._problems.append(main.problem((*where, "protocol"), f"no protocol {protocol}{nearest(str(protocol), protocols)}"))
                continue
            transport = section.get("transport") or (protocols[protocol].data.get("transport") if protocol is not None else None)
            if transport is None:
                wanted = "transport: NAME" if kind == "listeners" else "protocol: NAME"
                self._problems.append(main.problem(where, f"must say `{wanted}`"))
                continue
            model = models.get(transport)
            if model is None:
                able = [known for known, side in models.items() if side is not None]
                self._problems.append(main.problem((*where, "transport"),
                                                   f"no transport {transport} for {kind}{nearest(str(transport), able)}"))
                continue
            plain = replace(main, data={kind: {name: {k: v for k, v in section.items() if k != "transport"}}})
            settings = plain.checked(model, where, self._problems)
            if settings is not None:
                sections[name] = Section(transport, settings)
        return sections

    def _check_sections(self, main: Document, settings: Settings | None, listeners: Mapping[str, Section],
                        connectors: Mapping[str, Section], dialects: Iterable[str]) -> None:
        console: list[tuple[Where, Any]] = [(("console",), settings.console)] if settings is not None else []
        listening = [(("listeners", name), section.settings) for name, section in listeners.items()] + console
        asking = [(("connectors", name), section.settings) for name, section in connectors.items()]
        wrong = [*wrong_references(self._folder, [*listening, *asking], dialects), *taken_ports(listening)]
        self._problems += (main.problem(where, text) for where, text in wrong)

    def _cross_check(self, main: Document | None, credit: tuple[Document, CreditPolicy] | None,
                     catalog: Mapping[str, Mapping[str, tuple[Document, Where, Any]]]) -> None:
        """See that what refers to something else refers to something that is there, whatever else is wrong with uip.yaml."""
        if main is not None:
            self._problems += (main.problem(where, f"no operation {name}{nearest(name, _OPERATIONS)}")
                               for where, name in _allowed(main.data.get("parties")) if name != "*" and name not in _OPERATIONS)
        given = main.data.get("connectors", {}) if main is not None else None
        connectors: Mapping[str, Any] | None = given if isinstance(given, dict) else None
        for document, where, offering in catalog["offerings"].values():
            for kind, at, wanted in (("recipes", "serviceSpecification", offering.serviceSpecification), ("tariffs", "id", offering.id)):
                if wanted not in catalog[kind]:
                    self._problems.append(document.problem((*where, at), f"{kind} has no {wanted}{nearest(wanted, catalog[kind])}"))
            if credit is not None and offering.exposure.unit != credit[1].exposure_limit.unit:
                self._problems.append(document.problem((*where, "exposure", "unit"),
                                                       f"credit is kept in {credit[1].exposure_limit.unit}"))
        recipes = {name: entry for name, (_, _, entry) in catalog["recipes"].items()}
        pools = {name: entry for name, (_, _, entry) in catalog["pools"].items()}
        for name, (document, where, recipe) in catalog["recipes"].items():
            try:
                checked_catalog({name: recipes[name]}, pools)
            except ValueError as error:
                self._problems.append(document.problem(where, str(error)))
            if connectors is not None:
                self._problems += (document.problem(where, f"no connector {element} in uip.yaml{nearest(element, connectors)}")
                                   for element in sorted({step.element for step in recipe.work} - set(connectors)))
        if credit is not None and connectors is not None:
            document, policy = credit
            self._problems += (document.problem(("credit", "bureaus", index),
                                                f"no connector {bureau} in uip.yaml{nearest(bureau, connectors)}")
                               for index, bureau in enumerate(policy.bureaus) if bureau not in connectors)
