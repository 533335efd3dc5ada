"""Explaining runs: for each planted failure the right cause comes first, with the command to type."""

import pytest

LOCAL = {"allow": ["http://127.0.0.1:9/**", "https://no-such-host.invalid/**"], "on_violation": "error"}

# What was planted: guest, settings, target; the first cause, parts of its sentence, of the next
# command, and the name of the limit.
PLANTED = {
    "unreachable": ("wasi-crash", {}, "/?abort", "trap", "unreachable instruction", "logs", None),
    "stack": ("cwa-recurse", {}, "/", "stack_overflow", "its stack of", "logs", "stack"),
    "memory": ("cwa-grow", {"limits": {"memory": "8MiB"}}, "/?trap=1", "memory_limit", "8 MiB", "limits set {f} memory=16MiB", "memory"),
    "cpu": ("cwa-loop", {"limits": {"cpu": "100ms"}}, "/", "cpu_limit", "100 ms", "limits set {f} cpu=200ms", "cpu"),
    "wall": ("cwa-sleep", {"limits": {"wall": "200ms"}}, "/?before=60000", "wall_limit", "200 ms", "limits set {f} wall=400ms", "wall"),
    "stream": ("cwa-sleep", {"limits": {"stream-idle": "300ms"}}, "/?ms=60000", "wall_limit", "stream-idle of 300 ms", "limits set {f} stream-idle=600ms", "stream-idle"),
    "gas": ("cwa-loop", {"limits": {"gas": "100000"}}, "/", "gas_limit", "100000 instructions", "limits set {f} gas=200000", "gas"),
    "cgi": ("cwa-raw", {}, "/?hello%20there", "bad_cgi", "no CGI response", "--response text", None),
    "exit": ("cwa-exit", {}, "/?status=3", "exit_status", "status 3", "logs {f} --run {r}", None),
    "policy": ("cwa-need", {"env": {"NEED_URL": "https://api.example.com/v1?key=1"},
                            "policy": {"allow": ["https://other.example/**"], "on_violation": "error"}},
               "/?open", "policy", "refused to open https://api.example.com/v1,",
               "policy allow https://api.example.com/v1 {f}", None),
    "policy-ends": ("cwa-need", {"env": {"NEED_URL": "https://api.example.com/v1"},
                                 "policy": {"allow": ["https://other.example/**"]}},
                    "/?open", "policy", "refused to open https://api.example.com/v1,", "policy allow https://api.example.com/v1 {f}", None),
    "address": ("cwa-need", {"env": {"NEED_URL": "http://127.0.0.1:9/"}, "policy": LOCAL},
                "/?open", "policy", "This server refuses to open http://127.0.0.1:9/", "logs", None),
    "dns": ("cwa-need", {"env": {"NEED_URL": "https://no-such-host.invalid/x"}, "policy": LOCAL, "limits": {"egress-dns": "1s"}},
            "/?open", "unreachable", "could not reach https://no-such-host.invalid/x", "logs", None),
    "variable": ("cwa-need", {}, "/?name", "missing_variable", "the variable DATABASE_URL", "env set {f} DATABASE_URL=VALUE", None),
    "output": ("cwa-flood", {"limits": {"response-body": "64KiB"}}, "/", "output_limit", "64 KiB", "limits set {f} response-body=128KiB", "response-body"),
    "pointer": ("cwa-pointer", {}, "/", "bad_pointer", "memory that it does not have", "logs", None),
    "descriptor": ("cwa-descriptor", {}, "/", "bad_descriptor", "descriptor that is not open", "logs", None),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_the_right_cause_comes_first(server, guests, cli, planted):
    name, settings, target, code, part, command, limit = PLANTED[planted]
    function = server.deploy(f"planted-{planted}", guests / f"{name}.wasm", **settings)
    _, run = function.failure(target)
    function.counters
    told = server.api_json(f"/v1/projects/default/runs/{run['id']}/explain")
    first = told["causes"][0]
    assert first["code"] == code, told
    assert part in first["sentence"], first
    expected = command.replace("{f}", function.name).replace("{r}", run["id"])
    assert expected in first["command"] and told["next"][0] == first["command"]
    assert (told["limit"] or {"name": None})["name"] == limit
    assert (told["rule"] is not None) == (code == "policy")
    shown = cli("explain", run["id"]).out
    assert first["sentence"] in shown and f"next: {first['command']}" in shown


def test_the_stack_and_the_last_call(server, guests):
    crash = server.deploy("stacked", guests / "wasi-crash.wasm")
    _, run = crash.failure("/?divide")
    crash.counters
    told = server.api_json(f"/v1/projects/default/runs/{run['id']}/explain")
    assert told["stack"][0].startswith("divide (0x") and any(frame.startswith("main") for frame in told["stack"])
    assert told["last_call"].startswith("wasi.fd_write(2,") and "divided an integer by zero" in told["why"]
    assert told["log"] and told["changed"] is None


def test_similar_runs_and_good_ones(server, guests):
    leave = server.deploy("similar", guests / "cwa-exit.wasm")
    leave.get("/?after=1&status=0")
    ids = [leave.get("/?status=4").run for _ in range(3)]
    leave.counters
    counts = {server.api_json(f"/v1/projects/default/runs/{id}/explain")["similar_last_hour"] for id in ids}
    assert counts == {0, 1, 2}
    told = server.api_json(f"/v1/projects/default/runs/{ids[0]}/explain")
    assert told["good_runs_of_version"] == 1
    good = leave.runs(cause="ok")[0]["id"]
    assert server.api_json(f"/v1/projects/default/runs/{good}/explain")["causes"][0]["code"] == "ok"
    assert server.api.get("/v1/projects/default/runs/01a20000-0000-7000-8000-000000000000/explain").status_code == 404


def test_what_changed_since_it_went_well(server, guests, cli):
    """A variable is lost with a new version: the change is named, and the way back."""
    need = server.deploy("changed", guests / "cwa-need.wasm", env={"DATABASE_URL": "x", "KEPT": "1"})
    assert need.get("/?name").status == 200
    need.counters
    server.deploy("changed", guests / "cwa-need.wasm", env={"DATABASE_URL": None, "KEPT": "1"}, limits={"memory": "64MiB"})
    _, run = need.failure("/?name")
    need.counters
    told = server.api_json(f"/v1/projects/default/runs/{run['id']}/explain")
    assert told["causes"][0]["code"] == "missing_variable" and told["causes"][1]["code"] == "exit_status"
    changed = told["changed"]
    assert (changed["from"], changed["to"]) == (1, 2)
    assert {"part": "env", "name": "DATABASE_URL", "from": "x", "to": None} in changed["changes"]
    assert {change["part"] for change in changed["changes"]} == {"env", "limits"}
    assert told["next"] == ["wasmcloud env set changed DATABASE_URL=VALUE", "wasmcloud rollback changed 1"]
    shown = cli("explain", run["id"]).out
    assert "version 1 went well; since then this has changed:" in shown and "- env      DATABASE_URL" in shown
    assert "  or: wasmcloud rollback changed 1" in shown
