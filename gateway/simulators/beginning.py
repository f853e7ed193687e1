"""A protocol file to begin with: the bundled one, its samples and its dialect, in the words of the dialect that is wanted."""

from __future__ import annotations

import re
from pathlib import Path

from config.documents import SiteError, load_yaml
from config.loader import BUNDLED
from protocols.base import LocalProtocolError
from protocols.dialects import client_codec, server_codec
from protocols.mml import Command, Dialect, DialectError, Report

_WRITTEN_IN = "huawei-text"
"""The dialect of the bundled file and its samples."""


class Beginning:
    """What is written under a new name. `like` is the dialect file that the protocol's own begins as; None: the bundled dialect is named,
    where the transport has dialects at all.

    Raises SiteError when that file is wrong.
    """

    def __init__(self, name: str, transport: str, like: Path | None) -> None:
        self._name = name
        source = BUNDLED / "new-protocol"
        self._samples = source / "samples" / transport
        self._text = (source / f"{transport}.yaml").read_text(encoding="utf-8")
        self._like = like
        self._from = _dialect(BUNDLED / "dialects" / f"{_WRITTEN_IN}.yaml")
        self._to = self._from if like is None else _dialect(like)
        self._one_word = self._to.command.max_words == 1

    def write(self, file: Path, samples: Path, dialect: Path) -> None:
        """Write the protocol file and its samples, and the dialect file where there is one. Raises OSError."""
        if self._like is not None:
            text = self._like.read_text(encoding="utf-8")
            dialect.parent.mkdir(parents=True, exist_ok=True)
            dialect.write_text(re.sub(r"^dialect:.*$", f"dialect: {self._name}", text, count=1, flags=re.MULTILINE), encoding="utf-8")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self._protocol(), encoding="utf-8")
        samples.mkdir(parents=True)
        left_out = set()
        for sample in sorted(self._samples.iterdir()):
            data, name = sample.read_bytes(), sample.name.partition(".")[0]
            if self._like is not None and sample.suffix == ".in" and not data.startswith(b"{"):
                try:
                    data = self._sample(data)
                except LocalProtocolError:
                    left_out.add(name)  # a dialect of fixed records has no room for commands that it was not made for
            if name not in left_out:
                (samples / sample.name).write_bytes(data)

    def _protocol(self) -> str:
        name, text = self._name, self._text
        text = re.sub(r"\bNAME: a protocol file\b", f"{name}: a protocol file", text)
        text = re.sub(r"^protocol: NAME$", f"protocol: {name}", text, flags=re.MULTILINE)
        text = text.replace("{NAME: {protocol: NAME", f"{{{name}: {{protocol: {name}").replace("samples/NAME/", f"samples/{name}/")
        text = re.sub(r"\bNAME(?=\.\w)", name, text)    # queues
        if self._like is None:
            return text
        text = text.replace(f"dialect: {_WRITTEN_IN} ", f"dialect: {name} ").replace('"0"', f'"{self._to.results.ok}"')
        for words in self._commands():
            text = text.replace(words, self._called(words))
        return text

    def _commands(self) -> list[str]:
        """The names of commands in the bundled file: capitals and blanks."""
        return sorted(set(re.findall(r"(?<![A-Z])[A-Z]{3,} [A-Z]{3,}(?![A-Z])", self._text)))

    def _called(self, words: str) -> str:
        return words.replace(" ", "") if self._one_word else words

    def _sample(self, data: bytes) -> bytes:
        """Commands, or an answer, as the other dialect says them."""
        client, server = client_codec(self._to), server_codec(self._to)
        said = b""
        for event in server_codec(self._from).receive_data(data):
            if isinstance(event, Command):
                said += client.send(self._sayable(event))
        for answer in client_codec(self._from).receive_data(data):
            if isinstance(answer, Report):
                command = self._called(answer.command.partition(":")[0])
                said = server.send(Report(answer.retcode, answer.description, command=command, transaction="00000001", source=answer.source,
                                          time=answer.time, session="00000001"))
        return said

    def _sayable(self, command: Command) -> Command:
        """The command without what the other dialect has no room for."""
        kept: list[tuple[str, str]] = []
        said = Command(self._called(command.name), (), transaction="00000001", session="00000001")
        for parameter in command.parameters:
            trial = Command(said.name, (*kept, parameter), transaction=said.transaction, session=said.session)
            try:
                client_codec(self._to).send(trial)
            except LocalProtocolError:
                continue
            kept.append(parameter)
        return Command(said.name, tuple(kept), transaction=said.transaction, session=said.session)


def _dialect(file: Path) -> Dialect:
    document = load_yaml(file)
    try:
        return Dialect.load(document.data)
    except DialectError as error:
        raise SiteError([document.problem(where, text) for where, text in error.problems]) from None
