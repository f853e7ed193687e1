"""The connector on real sockets: login, answers to their askers, and every way in which a peer falls silent."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError

from adapters.drivers import NotSent, OutcomeUnknown
from adapters.mml.connector import as_reply
from protocols.mml import Command, Report
from tests.adapters.mml.bed import pause
from tests.adapters.mml.elements import Pair, done

async_test = pytest_twisted.ensureDeferred
BOTH = pytest.mark.parametrize("dialect", ["huawei-text", "framed"])


def quiet_on(*names: str) -> Any:
    """Answer everything but these commands."""
    return lambda command: None if command.name in names else done(command)


@async_test
@BOTH
async def test_logs_in_asks_and_reads_the_reply(dialect: str) -> None:
    def script(command: Command) -> Report:
        rows = ({"ID": "1", "NAME": "a"}, {"ID": "2", "NAME": "b"})
        return Report("0", "fine", {"IMSI": "24001"}, (("subs", rows),), command.name, "0000ABCD", command.transaction)

    async with Pair(dialect, script) as pair:
        await pair.up()
        reply = await pair.ask(IMSI="24001", NOTE='with "quotes", and ;')
        assert (reply["retcode"], reply["description"], reply["fields"]) == ("0", "fine", {"IMSI": "24001"})
        assert reply["tables"] == {"subs": [{"ID": "1", "NAME": "a"}, {"ID": "2", "NAME": "b"}]}
        login, asked = pair.element.heard
        assert dict(login.parameters) in ({"OPNAME": "gate", "PWD": "very-secret"}, {"USER": "gate", "PSWD": "very-secret"})
        assert asked.parameters == (("IMSI", "24001"), ("NOTE", 'with "quotes", and ;'))
        assert asked.session == ("0000ABCD" if dialect == "framed" else "")


@async_test
async def test_without_credentials_there_is_no_login() -> None:
    async with Pair(user=None, secret=None) as pair:
        await pair.up()
        assert (await pair.ask())["retcode"] == "0"
        assert pair.element.logins == 0


@async_test
@BOTH
async def test_not_connected_means_not_sent(dialect: str) -> None:
    async with Pair(dialect, listening=False) as pair:
        with pytest.raises(NotSent):
            await pair.ask()


@async_test
async def test_connects_again_after_pauses_that_grow_and_differ() -> None:
    async with Pair(listening=False, reconnect_from=1, reconnect_to=8) as pair:
        pauses = []
        for _ in range(6):
            await pause(0.01)
            pair.clock.advance(0.3)  # the endpoint looks for further addresses before it gives up
            await pair.until(lambda: pair.client.status()["state"] == "waiting")
            (call,) = pair.clock.getDelayedCalls()
            pauses.append(call.getTime() - pair.clock.seconds())
            pair.clock.advance(pauses[-1])
        assert all(most / 2 <= p <= most for p, most in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True)), pauses
        assert len(set(pauses)) == 6
        assert "refused" in pair.client.status()["last_error"]
        await pause(0.01)
        pair.clock.advance(0.3)
        await pair.until(lambda: pair.client.status()["state"] == "waiting")
        pair.element.listen(pair.port)
        pair.clock.advance(8)
        await pair.up()
        assert pair.client.status()["last_error"] is None
        assert pair.client._seats[0].pause() <= 1


@async_test
@BOTH
async def test_a_connection_that_breaks_leaves_the_outcome_unknown_and_comes_back(dialect: str) -> None:
    async with Pair(dialect, quiet_on("ADD SUB")) as pair:
        await pair.up()
        waiting = pair.ask("ADD SUB")
        await pair.until(lambda: len(pair.element.heard) == 2)
        pair.element.peers[0].transport.abortConnection()
        with pytest.raises(OutcomeUnknown):
            await waiting
        pair.clock.advance(1)
        await pair.up()
        assert pair.element.logins == 2


@async_test
async def test_an_answer_that_comes_late_is_never_taken_for_the_next_commands() -> None:
    async with Pair(script=quiet_on("ADD SUB")) as pair:
        await pair.up()
        waiting = pair.ask("ADD SUB")
        await pair.until(lambda: len(pair.element.heard) == 2)
        old = pair.element.peers[0]
        pair.clock.advance(5)
        with pytest.raises(OutcomeUnknown):
            await waiting
        next_one = pair.ask()
        old.say(done(pair.element.heard[1], WHO="late"))
        pair.clock.advance(1)
        await pair.up()
        assert "WHO" not in (await next_one)["fields"]
        assert len(pair.element.peers) == 1


@async_test
async def test_while_a_lost_connection_is_made_again_commands_wait_and_are_refused_when_that_fails() -> None:
    async with Pair() as pair:
        await pair.up()
        pair.element.peers[0].transport.abortConnection()
        await pair.until(lambda: pair.client.status()["state"] == "waiting")
        waiting = [pair.ask(N=str(n)) for n in range(2)]
        pair.clock.advance(1)
        assert [(await one)["retcode"] for one in waiting] == ["0", "0"]

        await pair.element.close()
        await pair.until(lambda: pair.client.status()["state"] == "waiting")
        refused = pair.ask()
        pair.clock.advance(1)
        await pause(0.01)
        pair.clock.advance(0.3)
        with pytest.raises(NotSent):
            await refused
        with pytest.raises(NotSent):
            await pair.ask()


@async_test
async def test_a_driver_that_stops_waiting_drops_the_text_connection_too() -> None:
    async with Pair(script=quiet_on("ADD SUB")) as pair:
        await pair.up()
        waiting = pair.ask("ADD SUB")
        await pair.until(lambda: len(pair.element.heard) == 2)
        waiting.cancel()
        with pytest.raises((OutcomeUnknown, CancelledError)):
            await waiting
        assert pair.client.status()["state"] == "waiting"


@async_test
async def test_a_text_peer_is_asked_one_command_at_a_time() -> None:
    async with Pair(script=quiet_on("LST SUB")) as pair:
        await pair.up()
        first, second = pair.ask(N="1"), pair.ask(N="2")
        await pair.until(lambda: len(pair.element.heard) == 2)
        await pause(0.01)
        assert len(pair.element.heard) == 2
        pair.element.peers[0].say(done(pair.element.heard[1], N="1"))
        assert (await first)["fields"] == {"N": "1"}
        await pair.until(lambda: len(pair.element.heard) == 3)
        pair.element.peers[0].say(done(pair.element.heard[2], N="2"))
        assert (await second)["fields"] == {"N": "2"}


@async_test
async def test_framed_answers_find_their_askers_in_any_order() -> None:
    async with Pair("framed", quiet_on("LST SUB"), window=3) as pair:
        await pair.up()
        asked = [pair.ask(N=str(n)) for n in range(4)]
        await pair.until(lambda: len(pair.element.heard) == 4)
        await pause(0.01)
        assert len(pair.element.heard) == 4, "the window is three, beside the login"
        for command in reversed(pair.element.heard[1:]):
            pair.element.peers[0].say(done(command, N=dict(command.parameters)["N"]))
        for n in range(3):
            assert (await asked[n])["fields"] == {"N": str(n)}
        await pair.until(lambda: len(pair.element.heard) == 5)
        pair.element.peers[0].say(done(pair.element.heard[4], N="3"))
        assert (await asked[3])["fields"] == {"N": "3"}
        assert len({c.transaction for c in pair.element.heard}) == 5


@async_test
async def test_a_framed_peer_that_answers_others_keeps_its_connection() -> None:
    async with Pair("framed", quiet_on("ADD SUB")) as pair:
        await pair.up()
        silent = pair.ask("ADD SUB")
        pair.clock.advance(1)
        assert (await pair.ask())["retcode"] == "0"
        pair.clock.advance(4)
        with pytest.raises(OutcomeUnknown):
            await silent
        late = next(c for c in pair.element.heard if c.name == "ADD SUB")
        pair.element.peers[0].say(done(late))
        assert (await pair.ask())["retcode"] == "0"
        assert pair.client.alarms == 1
        assert pair.element.logins == 1


@async_test
async def test_a_peer_that_looks_connected_but_answers_nothing_is_noticed_and_dropped() -> None:
    async with Pair("framed", heartbeat=10, misses=3) as pair:
        await pair.up()
        for _ in range(5):
            pair.clock.advance(10)
            await pause(0.01)
        assert pair.element.heartbeats == 5
        assert pair.client.status()["state"] == "up"
        pair.element.answers_heartbeats = False
        for _ in range(4):
            pair.clock.advance(10)
            await pause(0.01)
        assert pair.client.status()["state"] == "waiting"
        assert "no sign of life" in pair.client.status()["last_error"]
        await pair.until(lambda: not pair.element.peers)


@async_test
@BOTH
async def test_a_login_that_nobody_answers_is_given_up(dialect: str) -> None:
    async with Pair(dialect, lambda command: None) as pair:
        await pair.until(lambda: pair.element.heard)
        pair.clock.advance(5)
        await pair.until(lambda: not pair.element.peers)
        assert pair.client.status()["state"] == "waiting"
        with pytest.raises(NotSent):
            await pair.ask()


@async_test
@BOTH
async def test_a_session_that_the_peer_has_lost_is_opened_again_and_the_command_sent_again_once(dialect: str) -> None:
    lost = ["1101", "1101"]
    async with Pair(dialect, lambda c: done(c, lost.pop() if c.name == "LST SUB" and lost else "0")) as pair:
        await pair.up()
        assert (await pair.ask())["retcode"] == "1101"
        assert [c.name for c in pair.element.heard[1:]] == ["LST SUB", pair.element.dialect.login.command, "LST SUB"]
        assert (await pair.ask())["retcode"] == "0"


@async_test
async def test_commands_that_find_the_session_lost_together_log_in_once() -> None:
    lost = ["1101"] * 3
    async with Pair("framed", lambda c: done(c, lost.pop() if c.name == "LST SUB" and lost else "0")) as pair:
        await pair.up()
        asked = [pair.ask(N=str(n)) for n in range(3)]
        for waiting in asked:
            assert (await waiting)["retcode"] == "0"
        assert pair.element.logins == 2


@async_test
@BOTH
async def test_a_refused_login_is_told_and_tried_again_later_without_a_trace_of_the_password(dialect: str) -> None:
    async with Pair(dialect, lambda c: done(c, "1101")) as pair:
        await pair.until(lambda: pair.client.status()["state"] == "waiting")
        assert pair.client.status()["last_error"] == "login refused: 1101 as you say"
        pair.element.script = done
        pair.clock.advance(1)
        await pair.up()
        assert (await pair.ask())["retcode"] == "0"
        assert pair.said.calls
        assert "very-secret" not in repr(pair.said.calls)


@async_test
async def test_alarms_between_answers_are_counted_and_are_no_answers() -> None:
    alarm = b"+++    HLR9820        2003-11-21 08:54:14\r\nALARM  1024  Critical\r\nLink down\r\n---    END\r\n"
    async with Pair(script=quiet_on("LST SUB")) as pair:
        await pair.up()
        waiting = pair.ask()
        await pair.until(lambda: len(pair.element.heard) == 2)
        pair.element.peers[0].say(alarm)
        pair.element.peers[0].say(done(pair.element.heard[1], N="1"))
        assert (await waiting)["fields"] == {"N": "1"}
        assert pair.client.status()["alarms"] == 1
        assert any("Link down" in repr(call) for call in pair.said.calls)


@async_test
async def test_a_value_that_cannot_be_said_is_not_sent() -> None:
    async with Pair() as pair:
        await pair.up()
        with pytest.raises(NotSent):
            await pair.ask(NOTE="two\nlines; DEA SUB:;")
        assert (await pair.ask())["retcode"] == "0"
        assert len(pair.element.heard) == 2


@async_test
async def test_however_many_wait_that_cannot_be_said_they_hold_up_nobody() -> None:
    async with Pair(script=lambda c: b"" if c.name == "ADD SUB" else done(c)) as pair:
        await pair.up()
        first = pair.ask("ADD SUB")
        unsaid = [pair.ask(NOTE="two\nlines") for _ in range(2_000)]
        last = pair.ask()
        pair.clock.advance(6)
        with pytest.raises(OutcomeUnknown):
            await first
        await pair.until(lambda: pair.client.status()["state"] == "waiting")
        pair.clock.advance(1)
        for each in unsaid:
            with pytest.raises(NotSent, match="cannot be said"):
                await each
        assert (await last)["retcode"] == "0"


@async_test
async def test_rubbish_instead_of_an_answer_leaves_the_outcome_unknown() -> None:
    async with Pair(script=lambda c: b"x" * 70_000 if c.name == "LST SUB" else done(c)) as pair:
        await pair.up()
        with pytest.raises(OutcomeUnknown):
            await pair.ask()
        pair.clock.advance(1)
        await pair.up()


def test_tables_of_the_same_title_or_of_none_are_one() -> None:
    reply = as_reply(Report("0", tables=(("rows", ({"A": "1"},)), ("other", ({"C": "3"},)), ("rows", ({"B": "2"},)))))
    assert reply["tables"] == {"rows": [{"A": "1"}, {"B": "2"}], "other": [{"C": "3"}]}
