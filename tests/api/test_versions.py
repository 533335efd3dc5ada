"""A function's versions: deployed once, held back, promoted, rolled back, disabled, compared."""

import concurrent.futures
import re
import threading

import pytest

from server import eventually


@pytest.fixture
def function(server, guests, cli):
    """function("name", "wasi-env", …): deploys that guest with these words of the command line."""
    def deploy(name, guest, *words, status=0):
        return cli("deploy", guests / f"{guest}.wasm", "--name", name, *words, status=status)
    return deploy


def versions(server, name):
    return {v["number"]: v for v in server.api_list(f"/v1/projects/default/functions/{name}/versions")}


def post(server, name, path, body=None, expect=200):
    answer = server.api.post(f"/v1/projects/default/functions/{name}/{path}", json=body)
    assert answer.status_code == expect, answer.text
    return answer.json()


def asked(server, name, target="/"):
    with server.wire(f"{name}.localhost:{server.port}") as wire:
        return wire.ask(target)


def variable(server, name, key="MARK"):
    found = re.search(rf"^{key}=(.*)$", asked(server, name).text, re.M)
    return found and found[1]


# deploying what is new only


def test_the_same_content_deploys_once(server, function, cli, guests):
    words = ("--env", "A=1", "--env", "B=2", "--limit", "memory=64MiB")
    function("v-same", "wasi-env", *words)
    again = function("v-same", "wasi-env", "--limit", "memory=67108864", "--json").json
    assert again["unchanged"] and again["promoted"] and again["version"]["number"] == 1
    assert again["check"] is None and again["held"] is None
    assert list(versions(server, "v-same")) == [1]
    told = cli.on_terminal("deploy", guests / "wasi-env.wasm", "--name", "v-same").lines
    assert "version 1 is live: it was there already" in told[0]
    assert function("v-same", "wasi-env", "--env", "A=2", "--json").json["version"]["number"] == 2
    back = function("v-same", "wasi-env", "--env", "A=1", "--json").json
    assert not back["unchanged"] and back["version"]["number"] == 3


def test_a_version_has_three_names(server, function):
    function("v-named", "wasi-env")
    function("v-other", "wasi-env")
    path = "/v1/projects/default/functions/v-named/versions"
    one = server.api_json(f"{path}/1")
    assert server.api_json(f"{path}/{one['id']}") == server.api_json(f"{path}/live") == one
    other = server.api_json("/v1/projects/default/functions/v-other/versions/1")
    for name in (other["id"], "0", "2", "last"):
        assert server.api.get(f"{path}/{name}").status_code == 404


def test_each_setting_is_content(server, guests):
    """Whatever is changed makes a version; saying it again makes none."""
    module = guests / "wasi-env.wasm"
    f = server.deploy("v-content", module, check="GET /")
    digest = f.version["version"]["digest"]
    other = server.api.post("/v1/projects/default/modules", content=(guests / "wasi-hello.wasm").read_bytes(),
                            headers={"Content-Type": "application/wasm"}).json()["digest"]
    number = 1
    for change in [{"env": {"X": "1"}}, {"limits": {"cpu": "2s"}}, {"policy": {"allow": ["https://a.example/"]}},
                   {"timing": True}, {"check": "GET /other"}, {"preview": "public"}, {"capture": "failures"},
                   {"response": "text"}, {"digest": other}, {"digest": digest}]:
        answer = post(server, "v-content", "versions", change, expect=201)
        number += 1
        assert (answer["version"]["number"], answer["unchanged"]) == (number, False), change
        answer = post(server, "v-content", "versions", change)
        assert (answer["version"]["number"], answer["unchanged"]) == (number, True), change


def test_a_failed_deploy_is_repeated_without_a_second_version(server, function):
    function("v-repeat", "wasi-hello")
    failed = function("v-repeat", "cwa-trap", status=1)
    assert "version 2 of v-repeat is kept" in failed.err
    answer = function("v-repeat", "cwa-trap", "--json", status=1).json
    assert answer["version"]["number"] == 2 and answer["unchanged"] and not answer["promoted"]
    assert answer["held"]["code"] == "check_failed" and answer["check"]["error"] == "trap"
    assert versions(server, "v-repeat")[2]["state"] == "held"
    # The same content is promoted once somebody insists.
    assert function("v-repeat", "cwa-trap", "--no-check", "--json").json["promoted"] is True
    found = versions(server, "v-repeat")
    assert list(found) == [2, 1] and found[2]["state"] == "live" and found[2]["check"] == "GET /"


def test_a_held_version_shows_its_log(function):
    function("v-log", "wasi-hello")
    failed = function("v-log", "wasi-exit", status=1)
    assert "(exit_status)" in failed.err and "next: wasmcloud runs show" in failed.err


def test_no_promote(server, function):
    function("v-later", "wasi-env", "--env", "MARK=one")
    kept = function("v-later", "wasi-env", "--env", "MARK=two", "--no-promote")
    assert kept.out == "" and "next: wasmcloud preview v-later 2, or wasmcloud promote v-later 2" in kept.err
    assert variable(server, "v-later") == "one"
    two = versions(server, "v-later")[2]
    assert two["state"] == "kept" and two["checked"]["error"] is None and two["promoted_at"] is None
    # The same again leaves it; without the flag it is promoted.
    assert function("v-later", "wasi-env", "--env", "MARK=two", "--no-promote", "--json").json["unchanged"]
    assert function("v-later", "wasi-env", "--env", "MARK=two", "--json").json["version"]["number"] == 2
    assert variable(server, "v-later") == "two"


def test_many_deploys_of_one_thing_make_one_version(server, guests):
    module = (guests / "wasi-env.wasm").read_bytes()
    def deploy(_):
        return server.client(server.token).put("/v1/projects/default/functions/v-race/module", content=module,
                                               headers={"Content-Type": "application/wasm"})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(deploy, range(8)))
    assert sorted(a.status_code for a in answers) == [200] * 7 + [201]
    assert all(a.json()["promoted"] and a.json()["version"]["number"] == 1 for a in answers)


def test_numbers_of_an_import(server, guests):
    f = server.deploy("v-number", guests / "wasi-hello.wasm")
    digest = f.version["version"]["digest"]
    made = post(server, "v-number", "versions", {"digest": digest, "number": 7, "promote": False}, expect=201)
    assert made["version"]["number"] == 7 and made["held"]["code"] == "not_asked"
    refused = post(server, "v-number", "versions", {"digest": digest, "number": 7}, expect=409)
    assert "not after the last one, 7" in refused["detail"]
    post(server, "v-number", "versions", {"digest": digest, "number": 0}, expect=422)
    assert post(server, "v-number", "versions", {"env": {"N": "8"}}, expect=201)["version"]["number"] == 8


# promoting and going back


def test_promote_and_rollback(server, function, cli):
    for mark in ("one", "two", "three"):
        function("v-back", "wasi-env", "--env", f"MARK={mark}", "--no-promote")
    cli("promote", "v-back", "1")
    assert cli("promote", "v-back", "3").lines == [f"http://v-back.localhost:{server.port}/"]
    assert variable(server, "v-back") == "three"
    cli("rollback", "v-back")
    assert variable(server, "v-back") == "one"
    cli("rollback", "v-back")
    assert variable(server, "v-back") == "three"
    refused = cli("rollback", "v-back", "2", status=1)
    assert "version 2 was never live" in refused.err
    cli("promote", "v-back", "2")
    cli("rollback", "v-back", "1")
    assert variable(server, "v-back") == "one"
    assert {n: v["state"] for n, v in versions(server, "v-back").items()} == {1: "live", 2: "kept", 3: "kept"}
    cli("promote", "v-back", "9", status=3)
    cli("rollback", "v-back", "9", status=3)
    cli("rollback", "v-back", "x", status=2)


def test_rollback_brings_back_all_settings(server, function, cli):
    function("v-all", "wasi-env", "--env", "MARK=one", "--limit", "wall=3s", "--timing")
    function("v-all", "wasi-hello", "--response", "text", "--limit", "wall=4s", "--env", "MARK=two")
    assert asked(server, "v-all").get("Content-Type") == "text/plain; charset=utf-8"
    cli("rollback", "v-all")
    answer = asked(server, "v-all")
    assert "MARK=one" in answer.text and answer.get("Content-Type") == "text/plain"


def test_rollback_of_what_was_never_replaced(server, function, cli):
    function("v-first", "wasi-hello")
    refused = cli("rollback", "v-first", status=1)
    assert 'no other version of "v-first" was ever live' in refused.err


def test_promote_runs_the_check_that_was_not_passed(server, function, cli):
    function("v-check", "wasi-hello")
    function("v-check", "cwa-trap", status=1)
    failed = cli("promote", "v-check", "2", status=1)
    assert "its check GET / failed (trap)" in failed.err
    assert failed.err.count("unreachable instruction") == 1, failed.err
    assert asked(server, "v-check").status == 200
    runs = len(server.api_list("/v1/projects/default/functions/v-check/runs"))
    cli("promote", "v-check", "1")  # it has passed, so it isn't asked again
    assert len(server.api_list("/v1/projects/default/functions/v-check/runs")) == runs
    cli("promote", "v-check", "2", "--no-check")
    assert asked(server, "v-check").error == "trap"


def test_what_a_promoted_version_newly_opens_must_be_agreed_to(server, function, cli, tmp_path):
    (tmp_path / "policy.yaml").write_text("allow: ['https://api.example.com/**']\n")
    function("v-opens", "wasi-hello")
    function("v-opens", "wasi-hello", "--policy", "policy.yaml", "--yes", "--no-promote")
    refused = cli("promote", "v-opens", "2", status=4)
    assert "https://api.example.com/**" in refused.err
    assert "next: wasmcloud promote --yes v-opens 2" in refused.err
    assert "next: wasmcloud split --yes v-opens 1=50 2=50" in cli("split", "v-opens", "1=50", "2=50", status=4).err
    cli("promote", "v-opens", "2", "--yes")
    cli("rollback", "v-opens")
    cli("rollback", "v-opens", "2")  # it was live before: nobody is asked


def test_requests_after_the_answer_of_promote_meet_the_new_version(server, guests):
    """Clients that never stop asking; each request that began after an answer is of that version."""
    settings = [server.deploy("v-now", guests / "wasi-env.wasm", env={"MARK": str(n)}) for n in range(2)]
    numbers = [f.version["version"]["number"] for f in settings]
    live, wrong, done = [1], [], threading.Event()

    def ask():
        with server.wire(f"v-now.localhost:{server.port}") as wire:
            while not done.is_set():
                before = live[0]
                text = wire.ask("/").text
                # None: a promotion was under way when the request began
                if before is not None and live[0] == before and f"MARK={before}" not in text:
                    wrong.append(text)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(ask) for _ in range(6)]
        for turn in range(60):
            to = turn % 2
            live[0] = None
            post(server, "v-now", f"versions/{numbers[to]}/promote")
            live[0] = to
            assert variable(server, "v-now") == str(to)  # on a connection of its own
        done.set()
        for client in clients:
            client.result()
    assert not wrong


# disabling


def test_disable(server, function, cli):
    for mark in ("one", "two"):
        function("v-off", "wasi-env", "--env", f"MARK={mark}")
    refused = cli("versions", "disable", "v-off", "2", status=1)
    assert "version 2 is live: promote another one first" in refused.err
    cli("versions", "disable", "v-off", "1")
    cli("versions", "disable", "v-off", "1")
    assert versions(server, "v-off")[1]["state"] == "disabled"
    for words in (("promote", "v-off", "1"), ("rollback", "v-off", "1"), ("split", "v-off", "1=10", "2=90"),
                  ("preview", "v-off", "1")):
        assert "version 1 is disabled: enable it first" in cli(*words, status=4).err
    cli("rollback", "v-off", status=1)  # there is nothing to go back to
    cli("versions", "enable", "v-off", "1")
    cli("rollback", "v-off")
    assert variable(server, "v-off") == "one"


# the price


def test_the_price_is_the_median_of_silent_runs(server, guests):
    f = server.deploy("v-price", guests / "wasi-env.wasm", check="GET /")
    assert f.version["before"] is None
    answers = [f.version]

    def repeated():
        """A check that took long, because the machine did other things, is not repeated: then another is."""
        price = answers[-1]["version"]["price"]
        assert 1 <= price["runs"] <= 9 and price["cpu_us"] > 0 and price["calls"] > 3 and not price["over"]
        if price["runs"] > 1:
            return True
        answers.append(post(server, "v-price", "versions", {"env": {"TRY": str(len(answers))}}, expect=201))
        return False

    assert eventually(repeated)
    # Nobody pays for these runs: one run is recorded, that of the check.
    assert f.counters["runs"] == len(f.runs()) == len(answers)
    answer = post(server, "v-price", "versions", {"env": {"MORE": "x"}}, expect=201)
    assert answer["before"]["version"] == len(answers) and answer["before"]["price"]["calls"] > 3
    assert f.counters["runs"] == len(answers) + 1


def test_a_check_that_is_not_safe_runs_once(server, guests):
    posted = server.deploy("v-post", guests / "wasi-env.wasm", check="POST /")
    assert posted.version["version"]["price"]["runs"] == 1 and posted.version["before"] is None
    again = post(server, "v-post", "versions", {"env": {"X": "1"}}, expect=201)
    assert again["before"] == {"version": 1, "price": posted.version["version"]["price"]}  # as it was measured then


def test_max_cpu_holds_back_what_costs_more(server, function, cli):
    function("v-cost", "cwa-bare")
    dear = ("v-cost", "cwa-work", "--check", "GET /?calls=100000")  # hundreds of times as much
    held = function(*dear, "--max-cpu", "+20%", status=5)
    assert "were allowed" in held.err and held.out == ""
    two = versions(server, "v-cost")[2]
    assert (two["state"], two["price"]["over"]) == ("held", True)
    assert asked(server, "v-cost").status == 200 and versions(server, "v-cost")[1]["state"] == "live"
    answer = function(*dear, "--max-cpu", "1us", "--json", status=5).json
    assert answer["held"]["code"] == "too_costly" and answer["version"]["number"] == 2
    function(*dear, "--max-cpu", "10s")
    assert versions(server, "v-cost")[2]["state"] == "live"
    for words in (("--max-cpu", "lots"), ("--max-cpu", "+x%"), ("--max-cpu", "1s", "--check", "none"),
                  ("--max-cpu", "1s", "--no-check")):
        assert "cpu" in function("v-cost", "wasi-env", *words, status=2).err


# comparing


def test_diff(server, function, cli, tmp_path):
    (tmp_path / "policy.yaml").write_text("allow: ['https://api.example.com/**']\n")
    function("v-diff", "wasi-env", "--env", "A=1", "--env", "B=2", "--limit", "cpu=2s")
    function("v-diff", "wasi-env", "--env", "A=9", "--env", "C=3", "--policy", "policy.yaml", "--yes", "--check",
             "GET /x")
    lines = cli("diff", "v-diff", "1", "2").lines
    assert "~ env      A 1 -> 9" in lines and "+ env      C 3" in lines
    assert any(line.startswith("+ policy   allow https://api.example.com/**") for line in lines)
    assert "~ check    GET / -> GET /x" in lines and not any("imports" in line for line in lines)
    assert cli("diff", "v-diff").lines == lines  # the live one, from the one before
    backwards = cli("diff", "v-diff", "2", "1").lines
    assert "- env      C 3" in backwards
    function("v-diff", "cwa-bare", "--no-promote")
    answer = cli("diff", "v-diff", "3", "--json").json
    assert (answer["from"], answer["to"], answer["interface"]) == (2, 3, True)
    changes = {(c["part"], c["name"]): (c["from"], c["to"]) for c in answer["changes"]}
    assert ("module", None) in changes
    gone = [name for part, name in changes if part == "imports" and changes[part, name] == (True, None)]
    assert "wasi_snapshot_preview1.fd_write" in gone
    cli("diff", "v-diff", "9", status=3)
    cli("diff", "v-diff", "8", "1", status=3)


# names and deletion


def test_deleted_functions_keep_their_versions_and_name(server, function, cli):
    for mark in ("one", "two"):
        function("v-gone", "wasi-env", "--env", f"MARK={mark}")
    cli("split", "v-gone", "1=50", "2=50")
    cli("delete", "v-gone")
    assert asked(server, "v-gone").error == "no_function"
    refused = cli("create", "v-gone", status=1)
    assert "kept for its owner for 30 days" in refused.err and "undelete" in refused.err
    assert [f["name"] for f in cli("list", "--deleted", "--json").json["items"]].count("v-gone") == 1
    cli("undelete", "v-gone")
    assert {n: v["percent"] for n, v in versions(server, "v-gone").items()} == {1: 50, 2: 50}
    assert variable(server, "v-gone") in ("one", "two")


def test_a_created_function_has_no_version_yet(server, cli):
    cli("create", "v-empty")
    answer = asked(server, "v-empty")
    assert (answer.status, answer.error) == (503, "no_version")
    refused = cli("rollback", "v-empty", status=1)
    assert "was ever live" in refused.err


@pytest.mark.parametrize("name", ["www", "api", "admin", "wasmcloud", "localhost", "status", "login", "mail",
                                  "preview", "wpad", "postmaster", "ns1", "v1", "metrics", "egress",
                                  "a--b", "-a", "a-", "", "A", "a_b", "a.b", "é", "x" * 41,
                                  "01a20521-f068-72ac-9ca7-1baa24856912"])
def test_names_that_are_refused(server, name):
    answer = server.api.post("/v1/projects/default/functions", json={"name": name})
    assert answer.status_code == 422 and "name" in answer.json()["fields"], answer.text


def test_versions_shows_states(server, function, cli):
    function("v-list", "wasi-hello")
    function("v-list", "cwa-trap", status=1)
    function("v-list", "wasi-env", "--no-promote")
    rows = [line.split("\t") for line in cli("versions", "v-list").lines]
    assert [(row[0], row[1]) for row in rows] == [("3", "kept"), ("2", "held back"), ("1", "live")]
    cli("split", "v-list", "1=80", "3=20")
    rows = [line.split("\t") for line in cli("versions", "v-list").lines]
    assert [(row[0], row[1]) for row in rows] == [("3", "split 20 %"), ("2", "held back"), ("1", "split 80 %")]
