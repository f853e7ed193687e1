"""A site is proved as a whole: every mistake at once, each with file, line and the nearest right name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.documents import SiteError, load_yaml
from config.loader import load
from gateway.commands.init import write_site
from gateway.site import adapters_for


@pytest.fixture(scope="module")
def adapters():
    return adapters_for()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write_site(tmp_path, demo=True)
    return tmp_path


@pytest.fixture
def read(adapters):
    def read(folder, **environment):
        return load(folder, {n: a.listener_settings for n, a in adapters.items()},
                    {n: a.connector_settings for n, a in adapters.items()}, environment)
    return read


def mistakes(read, site, **environment):
    with pytest.raises(SiteError) as error:
        read(site, **environment)
    return [(p.file.name, p.line, p.path, p.message) for p in error.value.problems]


def change(site, file, old, new):
    path = site / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return text[:text.index(old)].count("\n") + 1


def test_the_bundled_sites_are_right(read, site, tmp_path_factory):
    demo = read(site)
    assert {"soap", "mml", "mml-framed"} == set(demo.listeners)
    assert {"hlr", "credit-bureau-soap", "credit-bureau-mml"} == set(demo.connectors)
    assert {p.name for p in demo.settings.parties} == {"crm", "shop"}
    plain = tmp_path_factory.mktemp("plain")
    write_site(plain, demo=False)
    assert read(plain).settings.parties == ()
    assert "secret" not in re.sub(r"#.*", "", (plain / "uip.yaml").read_text())


def test_every_mistake_is_shown_at_once_where_it_stands(read, site):
    listener = change(site, "uip.yaml", "dialect: huawei-text, host", "dialekt: huawei-text, host")
    rate = change(site, "uip.yaml", "rate: 50", "rate: fast")
    pool = change(site, "catalog/recipes.yaml", "pool: msisdn}", "pool: msidn}")
    found = mistakes(read, site)
    assert [(f, n) for f, n, _, _ in found if f == "uip.yaml"] == sorted([("uip.yaml", rate), ("uip.yaml", listener)])
    [wrong_key] = [(p, m) for _, n, p, m in found if n == listener]
    assert wrong_key == ("listeners.mml.dialekt", "is not known here; did you mean dialect?")
    [wrong_pool] = [m for f, _, _, m in found if f == "recipes.yaml"]
    assert "no pool msidn" in wrong_pool
    assert pool


@pytest.mark.parametrize(("old", "new", "path", "message"), [
    ("protocol: hlr,", "protocol: hlrr,", "connectors.hlr.protocol", "no protocol hlrr; did you mean hlr?"),
    ("transport: soap,", "transport: soup,", "listeners.soap.transport", "no transport soup for listeners; did you mean soap?"),
    ("transport: soap, ", "", "listeners.soap", "must say `transport: NAME`"),
    ("SubmitProductOrder,", "SubmitProductOrders,", "parties[1].operations[0]",
     "no operation SubmitProductOrders; did you mean SubmitProductOrder?"),
    ("name: shop", "name: crm", "", "parties: a name stands twice"),
    ("port: 8000", "port: 80000", "listeners.soap.port", "must be 65535 or less"),
    ("dialect: huawei-text", "dialect: huawei-txt", "listeners.mml.dialect", "no dialect huawei-txt; did you mean huawei-text?"),
    ("port: 7778", "port: 7776", "listeners.mml-framed.port", "127.0.0.1:7776 is also that of listeners.mml"),
    ("port: 8001", "port: 8000", "console.port", "127.0.0.1:8000 is also that of listeners.soap"),
    ("port: 8000", "port: 8000, tls: {certificate: a.pem, key: a.key}", "listeners.soap.tls.key", "a.key cannot be read"),
    ("  hlr: {", "  hlx: {", "recipes[0]", "no connector hlr in uip.yaml"),
])
def test_a_mistake_in_uip_yaml(read, site, old, new, path, message):
    change(site, "uip.yaml", old, new)
    assert any(p == path and m.startswith(message) for _, _, p, m in mistakes(read, site)), mistakes(read, site)


def test_what_refers_to_nothing_is_told_beside_all_else(read, site):
    change(site, "uip.yaml", "rate: 50", "rate: fast")
    change(site, "uip.yaml", "SubmitProductOrder,", "SubmitProductOrders,")
    change(site, "uip.yaml", "  hlr: {", "  hlx: {")
    assert {path for _, _, path, _ in mistakes(read, site)} == {"parties[1].rate", "parties[1].operations[0]", "recipes[0]", "recipes[1]"}


def test_a_value_that_is_not_there_is_one_mistake(read, site):
    line = change(site, "uip.yaml", "{name: crm, secret: crm-secret}", "{name: crm, secret: {env: NO_SUCH}}")
    change(site, "uip.yaml", "console: {host: 127.0.0.1, port: 8001}", "console: {host: 127.0.0.1, port: {file: nowhere}}")
    assert [(path, message) for _, _, path, message in mistakes(read, site)] == [
        ("parties[0].secret", "the environment has no NO_SUCH"), ("console.port", "nowhere cannot be read")]
    assert mistakes(read, site)[0][1] == line


def test_a_secret_that_several_want_is_missing_once(read, site):
    line = change(site, "uip.yaml", "{name: crm, secret: crm-secret}", "{name: crm, secret: {env: NO_SUCH}}")
    other = change(site, "uip.yaml", "secret: shop-secret", "secret: {env: NO_SUCH}")
    told = f"the environment has no NO_SUCH; it is wanted by parties[1].secret (line {other}) too"
    assert mistakes(read, site) == [("uip.yaml", line, "parties[0].secret", told)]


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:", "postgresql://x:port/y"])
def test_a_database_that_is_not_supported_is_told_beside_all_else(read, site, url):
    line = change(site, "uip.yaml", "sqlite:///data/uip.db", f'"{url}"')
    change(site, "uip.yaml", "dialect: huawei-text, host", "dialekt: huawei-text, host")
    assert ("uip.yaml", line, "database.url", "must be sqlite:///FILE or postgresql://USER@HOST/NAME") in mistakes(read, site)
    assert len(mistakes(read, site)) > 1


@pytest.mark.parametrize(("old", "new", "path", "message"), [
    ("  - {name: admin, secret: admin-secret}", "  admin", "operators", "must be a list"),
    ("console: {host: 127.0.0.1, port: 8001}", "console: 8001", "console", "must be a mapping"),
    ("port: 8000", "port: http", "listeners.soap.port", "must be a whole number"),
    ("port: 8000", "port: null", "listeners.soap.port", "must be a whole number"),
    ("rate: 50", "rate: fast", "parties[1].rate", "must be a number"),
    ("rate: 50", "rate: 0", "parties[1].rate", "must be more than 0"),
    ("name: admin", "name: 7", "operators[0].name", "must be a text"),
    ("host: 127.0.0.1, port: 8001", "host: 127.0.0.1, port: 8001, color: red", "console.color",
     "is not known here; there are host, port")])
def test_what_should_be_there_is_said_in_the_words_of_the_file(read, site, old, new, path, message):
    change(site, "uip.yaml", old, new)
    assert [(p, m) for _, _, p, m in mistakes(read, site)] == [(path, message)]


def test_ports_and_urls_come_from_the_environment(read, site):
    made = read(site, UIP_SOAP_PORT="0", UIP_MML_FRAMED_PORT="1234", UIP_CONSOLE_PORT="99", UIP_HLR_PORT="77",
                UIP_DATABASE_URL="postgresql://x/y", UIP_AMQP_URL="amqp://u:p@127.0.0.1/v")
    assert made.listeners["soap"].settings.port == 0
    assert made.listeners["mml-framed"].settings.port == 1234
    assert made.connectors["hlr"].settings.port == 77
    assert made.settings.console.port == 99
    assert made.settings.database.url == "postgresql://x/y"
    assert made.listeners["amqp"].transport == "amqp"
    assert "u:p" not in repr(made.settings)


@pytest.mark.parametrize(("variable", "value", "path"), [
    ("UIP_SOAP_PORT", "abc", "listeners.soap.port"), ("UIP_MML_FRAMED_PORT", "-1", "listeners.mml-framed.port"),
    ("UIP_HLR_PORT", "70000", "connectors.hlr.port"), ("UIP_CONSOLE_PORT", "1.5", "console.port"),
    ("UIP_DATABASE_URL", "mysql://x/y", "database.url"), ("UIP_AMQP_URL", "nonsense", "amqp.url"),
])
def test_what_the_environment_says_wrong_is_told_of_its_variable(read, site, variable, value, path):
    with pytest.raises(SiteError) as error:
        read(site, **{variable: value})
    [told] = error.value.told
    assert told.startswith(f"{variable} in the environment: {path}: ")
    assert "uip.yaml" not in told


def test_the_section_amqp_is_told_as_it_is_written(read, site):
    line = change(site, "uip.yaml", "  # url: amqp://guest:guest@127.0.0.1:5672/%2F", "  url: nonsense")
    [(_, told, path, _)] = mistakes(read, site)
    assert (told, path) == (line, "amqp.url")


def test_secrets_may_stand_elsewhere(read, site):
    (site / "secret").write_text("from a file\n")
    change(site, "uip.yaml", "secret: crm-secret", "secret: {file: secret}")
    change(site, "uip.yaml", "secret: shop-secret", "secret: {env: SHOP}")
    made = read(site, SHOP="from the environment")
    assert [p.secret.get_secret_value() for p in made.settings.parties] == ["from a file", "from the environment"]
    assert any("the environment has no SHOP" in m for _, _, _, m in mistakes(read, site))


@pytest.mark.parametrize(("text", "message"), [
    ("a: [1", "2: "), ("a: 1\nb: 2\na: 3\n", "3: a: stands twice"), ("a: &x [*x]", "contains itself"), ("a: \x00", "is not YAML"),
    ("a: !!python/object:os.system {}", "could not determine a constructor"),
    ("a:\n  " + "[" * 100_000, "2: is nested deeper than 100 levels"),
])
def test_what_is_no_yaml_is_refused_with_its_line(tmp_path, text, message):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(SiteError) as error:
        load_yaml(file)
    assert message in str(error.value)


def test_a_folder_without_a_site_says_so(read, tmp_path):
    assert mistakes(read, tmp_path)[0][3] == "is missing: DIR is a site's folder; `uip init DIR` writes one"
