"""Getting in: a command with name and password, prompts to answer, or nothing; then what has to be said before work begins."""

from __future__ import annotations

from pydantic import SecretStr

from adapters.drivers import NotSent
from adapters.mml.link import NOBODY, Link
from protocols.base import LocalProtocolError
from protocols.mml import Command, Dialect, Prompt


class LoginRefused(Exception):
    """The peer does not let us in. The text is the peer's; it holds none of ours."""


def needed(dialect: Dialect) -> bool:
    """Whether the dialect has a login at all."""
    return bool(dialect.session.login.command or dialect.session.login.dialogue)


async def log_in(link: Link, dialect: Dialect, user: str | None, secret: SecretStr | None) -> None:
    """Log in, where there is something to log in with, and prepare the session.

    Raises LoginRefused, NotSent or OutcomeUnknown. Afterwards the link is ready.
    """
    link.ready = False
    link.number = NOBODY
    try:
        if dialect.session.login.dialogue:
            await _by_prompts(link, dialect, user or "", secret.get_secret_value() if secret is not None else "")
        if dialect.session.login.command and user is not None and secret is not None:
            await _by_command(link, dialect, user, secret.get_secret_value())
        await _prepare(link, dialect)
    except LocalProtocolError as error:
        raise LoginRefused(f"cannot be said: {error.message}") from None
    finally:
        link.end_talk()
    link.ready = True


async def log_in_again(link: Link, dialect: Dialect, user: str | None, secret: SecretStr | None) -> None:
    """Log in on a connection whose session the peer has lost. Raises NotSent where that takes a new connection."""
    if not dialect.session.login.command or user is None:
        raise NotSent("the session is lost")
    link.ready = False
    link.number = NOBODY
    assert secret is not None
    await _by_command(link, dialect, user, secret.get_secret_value())
    await _prepare(link, dialect)
    link.ready = True


async def _by_command(link: Link, dialect: Dialect, user: str, secret: str) -> None:
    login = dialect.session.login
    given = [(login.secret, secret)] if login.access == "user" else [(login.user, user), (login.secret, secret)]
    answer = await link.ask(Command(login.command, (*given, *login.extra.items()), dialogue="DLGLGN", tid=login.tid,
                                    aid=user if login.access == "user" else ""))
    if dialect.results.means(answer.retcode) != "success":
        raise LoginRefused(f"login refused: {answer.retcode} {answer.description}".rstrip().replace(secret, "*****"))
    link.number = answer.session or NOBODY
    link.logged_in = True


async def _by_prompts(link: Link, dialect: Dialect, user: str, secret: str) -> None:
    """Answer each prompt in its turn. A prompt for commands means that we are in; the first one again, that we are not."""
    login, prompts = dialect.session.login, {p.strip() for p in dialect.session.prompts}
    link.logged_in = True
    first = login.dialogue[0].expect.strip()
    for step in login.dialogue:
        if await _prompted(link, login.failed, {step.expect.strip(), *prompts}) in prompts - {step.expect.strip()}:
            return
        link.say(step.send.replace("{user}", user).replace("{password}", secret))
    if prompts and await _prompted(link, login.failed, {first, *prompts}) not in prompts:
        raise LoginRefused("login refused: asked for the name again")


async def _prompted(link: Link, failed: tuple[str, ...], wanted: set[str]) -> str:
    while True:
        said = await link.hear()
        if isinstance(said, Prompt):
            if said.text.strip() in wanted:
                return said.text.strip()
        elif refusal := next((text for text in failed if text.lower() in said.lower()), None):
            raise LoginRefused(f"login refused: {refusal}")


async def _prepare(link: Link, dialect: Dialect) -> None:
    for text in dialect.session.prepare:
        answer = await link.ask(link.command(text))
        if dialect.results.means(answer.retcode) != "success":
            raise NotSent(f"could not be prepared: {answer.retcode} {answer.description}")
