"""Versions seen before they are promoted: links, cookies, and what the program sees of them."""

import re
import shutil
import sqlite3
import time

import pytest

from server import eventually

NAME = "wasmcloud-preview"


@pytest.fixture(scope="module")
def pair(shared_server, guests):
    """A function whose version 2 is not live."""
    shared_server.deploy("p-pair", guests / "wasi-env.wasm", env={"MARK": "one"})
    shared_server.deploy("p-pair", guests / "wasi-env.wasm", env={"MARK": "two"}, promote=False)


def link(server, name="p-pair", version=2, expect=200):
    answer = server.api.post(f"/v1/projects/default/functions/{name}/versions/{version}/preview")
    assert answer.status_code == expect, answer.text
    return answer.json()


def target_of(url):
    return "/" + url.split("/", 3)[3]


def ask(server, host, target="/", method="GET", fields=()):
    with server.wire(f"{host}.localhost:{server.port}" if host else f"localhost:{server.port}") as wire:
        return wire.ask(target, method, fields)


def cookie_of(answer):
    return answer.get("Set-Cookie").split(";")[0]


def test_a_link_is_traded_for_a_cookie(server, pair):
    url = link(server)["url"]
    assert url.startswith(f"http://2--p-pair.localhost:{server.port}/?{NAME}=")
    answer = ask(server, "2--p-pair", target_of(url) + "&q=1&r=%20")
    assert answer.status == 307
    assert answer.get("Location") == f"http://2--p-pair.localhost:{server.port}/?q=1&r=%20"
    assert answer.get("Cache-Control") == "no-store" and answer.get("Referrer-Policy") == "no-referrer"
    name, value, *rest = re.split("[=;] ?", answer.get("Set-Cookie"))
    assert name == NAME and "HttpOnly" in rest and "SameSite" in rest and "Lax" in rest and "Path" in rest
    assert "Domain" not in rest and "Secure" not in rest
    seen = ask(server, "2--p-pair", "/?q=1", fields=[("Cookie", f"a=1; {cookie_of(answer)}; b=2")])
    assert seen.status == 200 and "MARK=two" in seen.text
    assert "HTTP_COOKIE=a=1; b=2\n" in seen.text and "QUERY_STRING=q=1\n" in seen.text
    assert value not in seen.text and NAME not in seen.text
    assert seen.get("Cache-Control") == "private"  # a cache in between may not show it to others
    alone = ask(server, "2--p-pair", fields=[("Cookie", cookie_of(answer))])
    assert "MARK=two" in alone.text and "HTTP_COOKIE" not in alone.text


def test_a_cookie_of_the_other_scheme_is_taken_out_too(server, pair):
    """Behind a proxy a browser may have one from before there was TLS."""
    cookie = cookie_of(ask(server, "2--p-pair", target_of(link(server)["url"])))
    seen = ask(server, "2--p-pair", fields=[("Cookie", f"a=1; {cookie}; __Host-{cookie}; b=2")])
    assert "HTTP_COOKIE=a=1; b=2\n" in seen.text
    other = ask(server, "2--p-pair", fields=[("Cookie", f"__Host-{cookie}")])
    assert other.status == 403  # it counts over TLS only


def test_opening_is_in_the_audit_and_once(server, pair, guests):
    """Another link to what is open changes nothing; opening is a change, and says who did it."""
    server.deploy("p-audit", guests / "wasi-env.wasm")
    first = link(server, "p-audit", 1)
    with sqlite3.connect(f"file:{server.data}/db.sqlite?mode=ro", uri=True) as db:
        state = "SELECT generation FROM functions WHERE name = 'p-audit'"
        before = db.execute(state).fetchone()
        assert link(server, "p-audit", 1)["until"] == first["until"]
        assert db.execute(state).fetchone() == before
        assert db.execute("SELECT object, detail, user_id IS NOT NULL FROM audit WHERE action = 'version.preview' AND"
                          " object = 'p-audit'").fetchall() == [("p-audit", "1", 1)]


def test_the_live_address_is_not_touched(server, pair):
    live = ask(server, "p-pair", f"/?{NAME}=x", fields=[("Cookie", f"{NAME}=y")])
    assert "MARK=one" in live.text  # there it is an ordinary query and cookie
    assert f"QUERY_STRING={NAME}=x" in live.text and live.get("Cache-Control") is None


def test_other_methods_keep_theirs(server, pair):
    answer = ask(server, "2--p-pair", target_of(link(server)["url"]), method="POST")
    assert answer.status == 307


def test_below_a_path_of_localhost(server, pair):
    token = link(server)["url"].split("=", 1)[1]
    answer = ask(server, None, f"/2--p-pair/x?{NAME}={token}")
    assert answer.status == 307 and answer.get("Location") == f"http://localhost:{server.port}/2--p-pair/x"
    assert "; Path=/2--p-pair;" in answer.get("Set-Cookie")  # with and without a slash behind (RFC 6265 5.1.4)
    seen = ask(server, None, "/2--p-pair/x", fields=[("Cookie", cookie_of(answer))])
    assert "SCRIPT_NAME=/2--p-pair\n" in seen.text and "PATH_INFO=/x\n" in seen.text and "MARK=two" in seen.text


def test_without_a_link(server, pair):
    link(server)
    answer = ask(server, "2--p-pair")
    assert (answer.status, answer.error) == (403, "preview")
    assert "wasmcloud preview p-pair 2" in answer.text
    page = ask(server, "2--p-pair", fields=[("Accept", "text/html")])
    assert page.status == 403 and "<h1>This preview is for members</h1>" in page.text


@pytest.mark.parametrize("spoil", [lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"), lambda t: t[:-2], lambda t: "",
                                   lambda t: t + "A", lambda t: "B" + t[1:], lambda t: "x" * 139,
                                   lambda t: "A" * 43 + t[43:], lambda t: "%00" + t])
def test_a_forged_link(server, pair, spoil):
    token = link(server)["url"].split("=", 1)[1]
    answer = ask(server, "2--p-pair", f"/?{NAME}={spoil(token)}")
    assert (answer.status, answer.error) == (403, "preview")
    assert answer.get("Set-Cookie") is None


def test_a_link_and_a_cookie_are_of_one_version(server, guests, pair):
    server.deploy("p-other", guests / "wasi-env.wasm", env={"MARK": "o"})
    server.deploy("p-other", guests / "wasi-env.wasm", env={"MARK": "p"}, promote=False)
    other = link(server, "p-other")["url"].split("=", 1)[1]
    link(server), link(server, version=1)
    assert "this link is to another version" in ask(server, "2--p-pair", f"/?{NAME}={other}").text
    cookie = cookie_of(ask(server, "2--p-other", f"/?{NAME}={other}"))
    assert ask(server, "2--p-other", fields=[("Cookie", cookie)]).status == 200
    for host in ("2--p-pair", "1--p-pair"):
        assert ask(server, host, fields=[("Cookie", cookie)]).status == 403
    forged = cookie[:-1] + ("A" if cookie[-1] != "A" else "B")
    assert ask(server, "2--p-other", fields=[("Cookie", forged)]).status == 403


def test_a_public_preview_needs_nothing(server, guests, cli):
    server.deploy("p-open", guests / "wasi-env.wasm", env={"MARK": "one"})
    cli("deploy", guests / "wasi-env.wasm", "--name", "p-open", "--env", "MARK=two", "--preview", "public",
        "--no-promote")
    assert "MARK=two" in ask(server, "2--p-open").text
    assert link(server, "p-open") == {"url": f"http://2--p-open.localhost:{server.port}/", "expires_at": None,
                                      "until": None}
    assert ask(server, "1--p-open").error == "no_function"


def test_disabling_ends_it_at_once(server, guests):
    server.deploy("p-off", guests / "wasi-env.wasm", preview="public")
    server.deploy("p-off", guests / "wasi-env.wasm", env={"X": "1"}, preview="members")
    assert ask(server, "1--p-off").status == 200
    assert server.api.post("/v1/projects/default/functions/p-off/versions/1/disable").status_code == 200
    assert ask(server, "1--p-off").error == "no_function"
    assert link(server, "p-off", 1, expect=409)["code"] == "disabled"
    server.api.post("/v1/projects/default/functions/p-off/versions/1/enable")
    assert ask(server, "1--p-off").status == 200


def test_its_end(server, pair, guests):
    """A deleted function has no previews, and they are back with it."""
    server.deploy("p-gone", guests / "wasi-env.wasm", preview="public")
    assert ask(server, "1--p-gone").status == 200
    server.api.delete("/v1/projects/default/functions/p-gone")
    assert ask(server, "1--p-gone").error == "no_function"
    server.api.post("/v1/projects/default/functions/p-gone/undelete")
    assert ask(server, "1--p-gone").status == 200


@pytest.mark.parametrize("host", ["02--p-pair", "x--p-pair", "--p-pair", "2--", "2--p--pair", "99--p-pair",
                                  "4294967298--p-pair", "2---p-pair"])
def test_addresses_that_are_none(server, pair, host):
    link(server)
    assert ask(server, host).error == "no_function"


def test_over_tls_the_cookie_is_bound_to_the_host(serve, guests):
    """Behind a trusted proxy that speaks TLS."""
    server = serve(trusted_proxies="127.0.0.0/8")
    server.deploy("p-tls", guests / "wasi-env.wasm")
    url = link(server, "p-tls", 1)["url"]
    fields = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")]
    answer = ask(server, "1--p-tls", target_of(url), fields=fields)
    assert answer.status == 307 and answer.get("Location").startswith("https://1--p-tls.")
    assert answer.get("Set-Cookie").startswith(f"__Host-{NAME}=") and answer.get("Set-Cookie").endswith("; Secure")
    assert ask(server, "1--p-tls", fields=fields + [("Cookie", cookie_of(answer))]).status == 200
    assert ask(server, "1--p-tls", fields=[("Cookie", cookie_of(answer))]).status == 403


def test_it_outlives_restarts_of_roles(serve, guests, tmp_path):
    server = serve(tmp_path)
    server.deploy("p-kept", guests / "wasi-env.wasm")
    cookie = cookie_of(ask(server, "1--p-kept", target_of(link(server, "p-kept", 1)["url"])))
    server.stop()
    server = serve(tmp_path)
    assert eventually(lambda: ask(server, "1--p-kept", fields=[("Cookie", cookie)])).status == 200


def test_its_time_is_over(serve, guests, tmp_path):
    """A preview that ends soon: the cookie, which would be good for longer, no longer helps."""
    server = serve(tmp_path)
    server.deploy("p-late", guests / "wasi-env.wasm")
    cookie = cookie_of(ask(server, "1--p-late", target_of(link(server, "p-late", 1)["url"])))
    server.stop()
    database = sqlite3.connect(tmp_path / "data/db.sqlite")
    database.execute("UPDATE previews SET until = ?", [int(time.time() * 1000) + 3000])
    database.commit()
    database.close()
    shutil.rmtree(tmp_path / "data/routes")  # made again from the database
    server = serve(tmp_path)
    answers = []

    def refused():
        answers.append(ask(server, "1--p-late", fields=[("Cookie", cookie)]))
        return answers[-1].error in ("preview", "no_function")

    assert eventually(refused)
    assert all(a.status == 200 for a in answers[:-1])


def test_the_command(server, pair, cli):
    assert cli("preview", "p-pair", "2").lines[0].startswith(f"http://2--p-pair.localhost:{server.port}/?{NAME}=")
    lines = cli.on_terminal("preview", "p-pair", "2").lines
    assert re.match(r"the link is good until .*, the preview until .* \(UTC\); only members should have it$", lines[0])
    cli("preview", "p-pair", "9", status=3)
