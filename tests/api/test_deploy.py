"""The whole way of a function by command line and API: deployed, asked, looked at, taken away."""

import hashlib
import re
import signal
import subprocess

import pytest

from cli import read_line
from server import Function, eventually

VERBS = ["deploy", "create", "list", "get", "versions", "invoke", "logs", "runs", "runs show", "delete", "undelete",
         "whoami", "login", "logout", "token create", "token list", "token revoke", "project create", "project list",
         "project use", "policy get", "policy set", "policy allow", "policy learn", "policy test", "policy convert",
         "new", "templates", "completion", "dev", "namegen", "version", "run", "validate", "inspect", "limits", "doctor", "serve", "help"]
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")


@pytest.fixture
def ask(server):
    """ask(name, …): the function's answer over HTTP."""
    return lambda name, *args, **kw: Function(server, name, None).ask(*args, **kw)


# deploy


def test_deploy_prints_the_url_alone(cli, guests, ask, server):
    done = cli("deploy", guests / "wasi-hello.wasm", "--name", "first")
    assert done.lines == [f"http://first.localhost:{server.port}/"]
    assert done.err == ""
    answer = ask("first")
    assert (answer.status, answer.text) == (200, "hello world\n")


def test_deploy_on_a_terminal_says_what_it_did(cli, guests):
    lines = cli.on_terminal("deploy", guests / "wasi-hello.wasm", "--name", "told").lines
    assert re.match(r"told: version 1 is live \(.* [KM]iB, [0-9a-f]{12}\)$", lines[0]), lines
    assert lines[1] == "its check GET / answered 200"
    assert re.match(r"it costs .* of CPU, .* of memory, 3 host calls$", lines[2]), lines
    assert lines[-1].startswith("http://told.localhost:")


def test_deploy_names_the_function_after_the_file(cli, guests, tmp_path):
    module = (guests / "cwa-bare.wasm").read_bytes()
    for file, name in [("Plain.wasm", "plain"), ("a b_c!.wasm", "a-b-c"), ("no-suffix", "no-suffix")]:
        (tmp_path / file).write_bytes(module)
        assert cli("deploy", tmp_path / file).out.startswith(f"http://{name}.localhost:")
    (tmp_path / "_.wasm").write_bytes(module)
    assert re.match(r"http://[a-z]+-[a-z]+-\d\d\.localhost:", cli("deploy", tmp_path / "_.wasm").out)


def test_deploy_again_makes_a_version(cli, guests, ask):
    cli("deploy", guests / "cwa-bare.wasm", "--name", "again")
    cli("deploy", guests / "wasi-hello.wasm", "--name", "again")
    answer = cli("deploy", guests / "cwa-bare.wasm", "--name", "again", "--json").json
    version = answer["version"]
    assert answer["promoted"] is True and version["number"] == 3
    assert version["digest"] == hashlib.sha256((guests / "cwa-bare.wasm").read_bytes()).hexdigest()
    assert version["size"] == (guests / "cwa-bare.wasm").stat().st_size
    assert UUID.match(version["id"]) and TIME.match(version["created_at"]) and TIME.match(version["promoted_at"])
    assert answer["check"]["status"] == 200 and answer["check"]["error"] is None
    assert UUID.match(answer["check"]["run"])
    versions = cli("versions", "again", "--json").json["items"]
    assert [v["number"] for v in versions] == [3, 2, 1]
    assert versions[0]["digest"] == versions[2]["digest"] != versions[1]["digest"]
    assert len(cli("versions", "again").lines) == 3
    assert ask("again").text == "hello world\n"


def test_deploy_from_standard_input(cli, guests, ask):
    module = (guests / "wasi-hello.wasm").read_bytes()
    cli("deploy", "-", "--name", "piped", stdin=module)
    assert ask("piped").status == 200


def test_deploy_with_settings_keeps_the_rest(cli, guests, ask):
    file = guests / "wasi-env.wasm"
    cli("deploy", file, "--name", "settings", "--env", "COLOUR=red=blue", "--env", "EMPTY=", "--limit",
        "memory=32MiB", "--limit", "wall=5s")
    assert {"COLOUR=red=blue", "EMPTY="} <= set(ask("settings").text.splitlines())
    cli("deploy", file, "--name", "settings", "--env", "SIZE=9")
    assert {"COLOUR=red=blue", "SIZE=9"} <= set(ask("settings").text.splitlines())
    cli("deploy", file, "--name", "settings", "--timing")
    assert {"COLOUR=red=blue", "SIZE=9"} <= set(ask("settings").text.splitlines())
    version = cli("versions", "settings", "--json").json["items"][0]
    assert version["number"] == 3
    assert version["env"] == {"COLOUR": "red=blue", "EMPTY": "", "SIZE": "9"}
    assert set(version["limits"]) == {"memory", "wall"}


def test_deploy_response_text(cli, guests, ask):
    cli("deploy", guests / "wasi-hello.wasm", "--name", "as-text", "--response", "text")
    answer = ask("as-text")
    assert answer.get("Content-Type") == "text/plain; charset=utf-8"
    assert answer.text == "Content-Type: text/plain\n\nhello world\n"
    cli("deploy", guests / "wasi-hello.wasm", "--name", "as-text", "--response", "cgi")
    assert ask("as-text").text == "hello world\n"


def test_a_failed_check_keeps_the_old_version(cli, guests, ask):
    cli("deploy", guests / "cwa-bare.wasm", "--name", "checked")
    failed = cli("deploy", guests / "cwa-trap.wasm", "--name", "checked", status=1)
    assert failed.out == ""
    assert "version 2 of checked is kept, but it is not live" in failed.err and "(trap)" in failed.err
    run = re.search(r"next: wasmcloud runs show (\S+), ", failed.err)[1]
    assert cli("runs", "show", run, "--json").json["cause"] == "trap"
    assert ask("checked").text == "hello world\n"
    assert cli("get", "checked", "--json").json["version"] == 1
    assert cli("versions", "checked", "--json").json["items"][0]["promoted_at"] is None
    answer = cli("deploy", guests / "cwa-trap.wasm", "--name", "checked", "--json", status=1).json
    assert answer["promoted"] is False and answer["check"]["error"] == "trap"


def test_a_failed_check_shows_the_log(cli, guests):
    """The guest writes its log lines and answers well; the check is a path that makes it exit."""
    cli("deploy", guests / "cwa-log.wasm", "--name", "log-first")
    failed = cli("deploy", guests / "cwa-exit.wasm", "--name", "log-first", status=1)
    assert "(exit_status)" in failed.err


def test_first_deploy_with_a_failed_check(cli, guests, ask):
    cli("deploy", guests / "wasi-exit.wasm", "--name", "stillborn", status=1)
    record = cli("get", "stillborn", "--json").json
    assert (record["state"], record["version"], record["url"][:17]) == ("no_version", None, "http://stillborn.")
    answer = ask("stillborn")
    assert (answer.status, answer.error) == (503, "no_version")


def test_no_check_and_another_check(cli, guests, ask):
    cli("deploy", guests / "cwa-trap.wasm", "--name", "unasked", "--no-check")
    assert ask("unasked").error == "trap"
    cli("deploy", guests / "cwa-trap.wasm", "--name", "unasked", "--check", "GET /health", status=1)
    wrong = cli("deploy", guests / "cwa-trap.wasm", "--name", "unasked", "--check", "get it", status=2)
    assert "check" in wrong.err
    cli("deploy", guests / "cwa-trap.wasm", "--name", "unasked", "--check", "GET /", "--no-check", status=2)


@pytest.mark.parametrize("content,word", [
    (b'{"name": "app"}', "JSON"), (b"  [1]", "JSON"), (b"(module)", "wat2wasm"), (b"\x7fELF\2\1\1", "GOOS=wasip1"),
    (b"", "empty"), (b"#!/bin/sh\n", "script"), (b"\0asm\x0d\0\1\0", "component"), (b"\0asm\2\0\0\0", "version"),
    (b"\x1f\x8b\x08", "compressed"), (b"PK\3\4", "archive"), (b"hello", "\\0asm")])
def test_deploy_of_something_else(cli, tmp_path, content, word):
    (tmp_path / "mistake.wasm").write_bytes(content)
    refused = cli("deploy", tmp_path / "mistake.wasm", status=126)
    assert word in refused.err and "mistake.wasm is" in refused.err, refused
    cli("get", "mistake", status=3)


def test_deploy_of_no_file(cli, tmp_path):
    assert "there is no file" in cli("deploy", tmp_path / "missing.wasm", status=3).err
    refused = cli("deploy", tmp_path, status=3).err
    assert "there is no" in refused and "function.yaml" in refused and "wasmcloud new" in refused, refused


@pytest.mark.parametrize("words,said", [
    (["--limit", "memroy=64MiB"], 'did you mean "memory"'), (["--limit", "memory=lots"], "64MiB"),
    (["--limit", "memory=2GiB"], "1 GiB"), (["--limit", "queue=3"], "project"), (["--limit", "memory"], "NAME=VALUE"),
    (["--env", "novalue"], "NAME=VALUE"), (["--env", "REQUEST_METHOD=x"], "REQUEST_METHOD"),
    (["--env", "9=x"], "name"), (["--response", "html"], "one of cgi, text"), (["--name", "Not_Valid"], "a-z"),
    (["--name", "a--b"], "--"), (["--name", "www"], "reserved"), (["--name", "x" * 41], "40")])
def test_deploy_with_wrong_settings(cli, guests, words, said):
    refused = cli("deploy", guests / "cwa-bare.wasm", *(["--name", "wrong"] if "--name" not in words else []), *words,
                  status=2)
    assert said in refused.err, refused
    cli("get", "wrong", status=3)


@pytest.mark.parametrize("guest,said", [
    ("cwa-unknown-import", "make_coffee"), ("cwa-wrong-import", "log_write"), ("cwa-reactor", "_initialize"),
    ("cwa-huge-memory", "memory")])
def test_deploy_of_a_module_that_is_refused(cli, guests, guest, said):
    refused = cli("deploy", guests / f"{guest}.wasm", "--name", guest, status=126)
    assert said in refused.err, refused
    cli("get", guest, status=3)


# create, list, get, delete, undelete


def test_create_reserves_a_name(cli, guests, ask):
    assert cli("create", "reserved").out.startswith("http://reserved.localhost:")
    assert ask("reserved").error == "no_version"
    assert cli("get", "reserved", "--json").json["state"] == "no_version"
    taken = cli("create", "reserved", status=1)
    assert "reserved" in taken.err
    cli("deploy", guests / "cwa-bare.wasm", "--name", "reserved")
    assert ask("reserved").status == 200


def test_list(cli, guests):
    cli("deploy", guests / "cwa-bare.wasm", "--name", "listed")
    row = next(line.split("\t") for line in cli("list").lines if line.startswith("listed\t"))
    assert row[1:3] == ["live", "1"] and row[-1].startswith("http://listed.")
    assert cli("ls").out == cli("list").out
    table = cli.on_terminal("list").lines
    assert table[0].split() == ["NAME", "STATE", "VERSION", "RUNS", "FAILED", "UPDATED", "URL"]
    column = table[0].index("STATE")
    assert all(line[column - 1] == " " for line in table)
    functions = cli("list", "--json").json
    assert functions["next"] is None and any(f["name"] == "listed" for f in functions["items"])


def test_get(cli, guests, ask):
    cli("deploy", guests / "cwa-bare.wasm", "--name", "counted", "--no-check")
    for _ in range(7):
        ask("counted")
    record = cli("get", "counted", "--json").json
    assert UUID.match(record["id"]) and record["project"] == "default" and record["deleted_at"] is None
    assert record["counters"]["runs"] == record["counters"]["status"]["2xx"] == 7
    assert record["counters"]["failed"] == 0 and record["counters"]["bytes_out"] == 7 * 53
    text = cli("get", "counted").out
    assert "runs      7, of which failed 0" in text and text.splitlines()[-1].startswith("http://counted.")


def test_delete_and_undelete(cli, guests, ask, server):
    cli("deploy", guests / "wasi-hello.wasm", "--name", "gone")
    assert cli("delete", "gone").out == ""
    answer = ask("gone")
    assert (answer.status, answer.error) == (404, "no_function")
    assert "there is no function" in cli("delete", "gone", status=3).err
    assert "gone" not in [f["name"] for f in cli("list", "--json").json["items"]]
    assert any(line.startswith("gone\tdeleted\t") for line in cli("list", "--deleted").lines)
    kept = cli("create", "gone", status=1)  # for 30 days nobody else gets the name
    assert "undelete" in kept.err or "deleted" in kept.err
    assert cli("undelete", "gone").out == f"http://gone.localhost:{server.port}/\n"
    assert ask("gone").status == 200
    cli("undelete", "gone", status=1)
    assert "wasmcloud undelete gone" in cli.on_terminal("rm", "gone").out
    cli("undelete", "gone", "--json")


def test_nothing_by_that_name(cli):
    for words in [("get",), ("delete",), ("undelete",), ("versions",), ("logs",), ("runs",)]:
        missing = cli(*words, "never-was", status=3)
        assert "never-was" in missing.err and "next: wasmcloud list" in missing.err
    assert cli("runs", "show", "0199c3de-7c1f-7d5e-8b1c-3b1f5c0e9a42", status=3).err
    assert cli("runs", "show", "no-id", status=3).err
    cli("get", "../../whoami", status=3)
    cli("get", "..", status=3)


# logs and runs


def test_logs(cli, guests, ask):
    cli("deploy", guests / "cwa-log.wasm", "--name", "logged", "--no-check")
    run, second = ask("logged").run, ask("logged").run
    lines = [line.split("\t") for line in cli("logs", "logged").lines]
    texts = [line[3] for line in lines if line[2] == run]
    assert texts[:3] == ["an error", "a warning", "an information"]
    assert {"from stderr", "and its second line", "unfinished"} <= set(texts)
    times = [line[0] for line in lines if line[2] == run]
    assert times == sorted(times)
    assert {line.split("\t")[2] for line in cli("logs", "logged", "--run", second).lines} == {second}
    assert {line.split("\t")[1] for line in cli("logs", "logged", "--level", "error").lines} == {"error"}
    assert len(cli("logs", "logged", "--lines", "2").lines) == 2
    assert cli("logs", "logged", "--since", "1h").lines == cli("logs", "logged").lines
    assert cli("logs", "logged", "--json").json["items"][0]["text"] == "an error"
    cli("logs", "logged", "--since", "soon", status=2)
    cli("logs", "logged", "--level", "loud", status=2)


def test_logs_follow(cli, guests, ask):
    cli("deploy", guests / "cwa-log.wasm", "--name", "followed", "--no-check")
    process = cli.start("logs", "followed", "-f")
    try:
        run = ask("followed").run
        seen = [read_line(process.stdout).decode().rstrip("\n").split("\t") for _ in range(3)]
        assert [(line[2], line[3]) for line in seen] == [(run, "an error"), (run, "a warning"),
                                                         (run, "an information")]
        # The reader goes: the next line ends it.
        process.stdout.close()
        ask("followed")
        assert process.wait(20) in (1, -signal.SIGPIPE)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_control_bytes_are_escaped_on_a_terminal(cli, guests, ask):
    cli("deploy", guests / "cwa-colour.wasm", "--name", "colourful", "--no-check")
    ask("colourful")
    assert b"\x1b[31mred\x07 \xc3\xa4" in cli("logs", "colourful").bytes
    shown = cli.on_terminal("logs", "colourful").bytes
    assert rb"\x1b[31mred\x07 " + "ä".encode() in shown and b"\x1b[31mred" not in shown


def test_runs(cli, guests, ask):
    cli("deploy", guests / "cwa-exit.wasm", "--name", "ran", "--no-check")
    good, bad = ask("ran", "/a?status=0&after=1").run, ask("ran", "/b").run
    rows = [line.split("\t") for line in cli("runs", "ran").lines]
    assert [row[-1] for row in rows] == [bad, good]
    assert rows[0][1:5] == ["ran", "GET /b", "502", "exit_status"] and rows[1][3:5] == ["200", "ok"]
    assert [line.split("\t")[-1] for line in cli("runs", "ran", "--failed").lines] == [bad]
    assert good in cli("runs").out
    record = cli("runs", "show", good, "--json").json
    assert record["path"] == "/a" and record["exit_status"] == 0 and record["memory_peak"] >= 65536
    assert record["host_calls"]["cwa.runtime_exit"] == 1 and record["cpu_us"] <= record["wall_us"]
    assert record["calls"] == sum(record["host_calls"].values())
    assert record["sampled"] in (True, False) and TIME.match(record["started_at"])
    text = cli("runs", "show", bad).out
    for said in ["ended     exit_status, exit status 3", "request   GET /b from 127.0.0.0", "memory    ",
                 "cwa.runtime_exit", "time      "]:
        assert said in text, text


# invoke


def test_invoke_is_a_pipe(cli, guests):
    every_byte = bytes(range(256)) * 4096
    cli("deploy", guests / "wasi-echo.wasm", "--name", "pipe", "--no-check")
    assert cli("invoke", "pipe", stdin=every_byte).bytes == every_byte
    assert cli("invoke", "pipe").bytes == b""
    record = cli("invoke", "pipe", "--json", stdin=b"abc").json
    assert (record["method"], record["bytes_in"], record["cause"]) == ("POST", 3, "ok")


def test_invoke_takes_a_request(cli, guests):
    cli("deploy", guests / "wasi-env.wasm", "--name", "request", "--no-check")
    text = cli("invoke", "request", "--method", "PUT", "--path", "/a/b?c=d", "--type", "text/x", stdin=b"1").out
    for said in ["REQUEST_METHOD=PUT", "PATH_INFO=/a/b", "QUERY_STRING=c=d", "CONTENT_TYPE=text/x"]:
        assert said in text.splitlines(), text
    assert "REQUEST_METHOD=GET" in cli("invoke", "request").lines


@pytest.mark.parametrize("guest,path,status", [
    ("cwa-exit", "/", 3), ("cwa-exit", "/?status=9&after=1", 9), ("cwa-exit", "/?status=0&after=1", 0),
    ("cwa-trap", "/", 134), ("cwa-trap", "/?after=1", 134), ("cwa-recurse", "/", 139), ("cwa-pointer", "/", 139)])
def test_invoke_ends_as_the_program_did(cli, guests, guest, path, status):
    name = f"ends-{guest}"
    cli("deploy", guests / f"{guest}.wasm", "--name", name, "--no-check")
    done = cli("invoke", name, "--path", path, status=status)
    assert done.out == ("before the end\n" if "after" in path else "")
    if status:
        assert "next: wasmcloud runs show " in done.err


def test_invoke_of_a_program_over_its_limit(cli, guests):
    cli("deploy", guests / "cwa-loop.wasm", "--name", "endless", "--no-check", "--limit", "cpu=50ms")
    assert "CPU" in cli("invoke", "endless", status=152).err


def test_invoke_fails_by_itself(cli):
    assert "no function" in cli("invoke", "never-was", status=125).err
    cli("create", "not-yet")
    assert "version" in cli("invoke", "not-yet", status=125).err
    cli("invoke", status=2)
    assert "--method" in cli("invoke", "not-yet", "--mthod", "GET", status=2).err
    cli("invoke", "not-yet", status=125, env={"WASMCLOUD_URL": "http://127.0.0.1:1"})


def test_output_that_can_not_be_written(cli, guests, program):
    cli("deploy", guests / "wasi-large.wasm", "--name", "large", "--no-check")
    for words, status in [(["list"], 1), (["invoke", "large"], 125)]:
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program, *words], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                                  env=cli.env, timeout=60)
        assert done.returncode == status and b"No space left" in done.stderr


# login, tokens, projects


def test_login_saves_a_token_that_works(server, bare_cli, tmp_path):
    saved = tmp_path / ".config/wasmcloud/login.json"
    refused = bare_cli("login", server.url, "--token", stdin=b"nonsense\n", status=4)
    assert not saved.exists() and "token" in refused.err
    bare_cli("login", server.url, "--token", stdin=b"", status=2)
    bare_cli("login", server.url, "--token", stdin=server.token.encode() + b"\n")
    assert saved.stat().st_mode & 0o777 == 0o600
    assert bare_cli("whoami", "--json").json["project"]
    bare_cli("list")
    # The token goes to no other server than the one it was saved for.
    assert bare_cli("whoami", env={"WASMCLOUD_URL": server.url.replace("127.0.0.1", "localhost")}, status=4)
    bare_cli("logout")
    assert not saved.exists()
    bare_cli("whoami", env={"WASMCLOUD_URL": server.url}, status=4)
    bare_cli("logout")


def test_the_local_server_is_found_without_a_login(server, bare_cli):
    env = {"XDG_STATE_HOME": server.env["XDG_STATE_HOME"]}
    assert bare_cli("whoami", "--json", env=env).json["user"]["role"] == "operator"


def test_whoami(cli, server):
    answer = cli("whoami", "--json").json
    assert set(answer) == {"user", "token", "project"} and UUID.match(answer["user"]["id"])
    text = cli.on_terminal("whoami").out
    assert server.url in text and "default" in text and server.token not in text
    assert cli("whoami").out == answer["user"]["name"] + "\n"


def test_tokens(cli):
    made = cli("token", "create", "ci", "--scope", "read,invoke", "--scope", "logs", "--expires", "2h", "--json").json
    assert made["scopes"] == ["read", "invoke", "logs"] and TIME.match(made["expires_at"])
    as_ci = {"WASMCLOUD_TOKEN": made["token"]}
    cli("list", env=as_ci)
    assert '"deploy"' in cli("create", "by-ci", env=as_ci, status=4).err
    listed = cli("token", "list").out
    assert f"ci\tread,invoke,logs\t" in listed and made["token"] not in listed
    cli("token", "revoke", made["id"])
    assert "revoked" in cli("list", env=as_ci, status=4).err
    cli("token", "revoke", made["id"], status=3)
    assert cli("token", "create", "plain").out.count(".") == 2
    cli("token", "create", "x", "--scope", "everything", status=2)
    cli("token", "create", "x", "--expires", "never", status=2)


def test_projects(cli, bare_cli, guests, server, ask):
    assert cli("project", "create", "shop").out == "shop\n"
    cli("project", "create", "shop", status=1)
    assert {"default", "shop"} <= {line.split("\t")[0] for line in cli("project", "list").lines}
    cli("deploy", guests / "cwa-bare.wasm", "--name", "till", "--project", "shop")
    assert ask("till").status == 200
    cli("get", "till", status=3)
    assert "till" in cli("list", env={"WASMCLOUD_PROJECT": "shop"}).out
    taken = cli("create", "till", status=1)  # names are unique on a server
    assert "till" in taken.err
    bare_cli("login", server.url, stdin=server.token.encode())
    bare_cli("project", "use", "no-such", status=3)
    bare_cli("project", "use", "shop")
    assert "till" in bare_cli("list").out
    # The saved project is this login's, not another's
    limited = cli("token", "create", "shop-only", "--scope", "read", "--project", "shop").out.strip()
    cli("list", "--project", "shop", env={"WASMCLOUD_TOKEN": limited})
    cli("list", "--project", "default", env={"WASMCLOUD_TOKEN": limited}, status=3)


# usage


@pytest.mark.parametrize("verb", VERBS[:-1])  # `help --help` is the list
def test_help_of_every_verb(bare_cli, verb):
    text = bare_cli(*verb.split(), "--help").out
    assert text.startswith(f"usage: wasmcloud {verb}") and "example:" in text and "-h, --help" in text
    assert bare_cli("help", *verb.split()).out == text


def test_help_lists_every_verb(bare_cli):
    text = bare_cli("help").out
    assert bare_cli().out == text == bare_cli("--help").out
    for verb in VERBS:
        assert f"\n  {verb.split()[0]} " in text
    assert "edge" not in text and "exec" not in text  # roles are nobody's verbs
    bare_cli("help", "deploi", status=2)


@pytest.mark.parametrize("words,suggestion", [
    (["deploi"], "deploy"), (["lits"], "list"), (["verison"], "version"), (["token", "creat"], "create"),
    (["project", "lst"], "list")])
def test_misspelt_verbs(bare_cli, words, suggestion):
    wrong = bare_cli(*words, status=2)
    assert f'did you mean "{suggestion}"' in wrong.err and "next: wasmcloud help" in wrong.err


@pytest.mark.parametrize("verb", [v for v in VERBS if v not in ("run", "serve", "invoke", "help")])
def test_misspelt_flags(bare_cli, verb):
    wrong = bare_cli(*verb.split(), "--jsn", status=2)
    assert 'did you mean "--json"' in wrong.err and f"usage: wasmcloud {verb}" in wrong.err


@pytest.mark.parametrize("words", [
    ["get"], ["get", "a", "b"], ["deploy", "a", "b"], ["list", "x"], ["runs", "show"], ["token", "revoke"], ["whoami", "me"],
    ["logs", "x", "y"], ["logs", "x", "--run"], ["list", "--json=yes"], ["deploy", "x", "--name", "a", "--name", "b"]])
def test_wrong_usage(bare_cli, words):
    wrong = bare_cli(*words, status=2)
    assert "usage: wasmcloud" in wrong.err and wrong.out == ""


def test_no_server(bare_cli):
    env = {"WASMCLOUD_URL": "http://127.0.0.1:1"}
    for words in [["list"], ["whoami"], ["get", "x"], ["logs", "x"], ["token", "list"], ["project", "list"]]:
        assert "wasmcloud serve" in bare_cli(*words, env=env, status=6).err
    bare_cli("list", env={"WASMCLOUD_URL": "ftp://x"}, status=2)
    # A proxy of the environment is not asked for a server on this machine.
    proxied = bare_cli("list", env=env | {"http_proxy": "http://127.0.0.1:2"}, status=6)
    assert "127.0.0.1:1" in proxied.err


def test_a_damaged_login(bare_cli, tmp_path):
    folder = tmp_path / ".config/wasmcloud"
    folder.mkdir(parents=True)
    (folder / "login.json").write_text('{"url": ')
    assert "login.json is damaged" in bare_cli("list", status=2).err


def test_namegen_and_version(bare_cli):
    names = {bare_cli("namegen").out for _ in range(20)}
    assert len(names) > 15 and all(re.match(r"[a-z]+-[a-z]+-\d\d\n\Z", name) for name in names)
    assert re.match(r"wasmcloud \d+\.\d+\.\d+\n\Z", bare_cli("version").out)
    assert set(bare_cli("version", "--json").json) == {"name", "version"}


# the API itself


def test_shapes_and_pages(server):
    project = server.api.post("/v1/projects", json={"name": "pages"}).json()
    base = f"/v1/projects/{project['id']}"  # an id is as good as a name
    for i in range(5):
        assert server.api.post(f"{base}/functions", json={"name": f"page-{i}"}).status_code == 201
    names, query = [], {"limit": 2}
    while True:
        page = server.api_json(f"{base}/functions", **query)
        assert len(page["items"]) <= 2
        names += [f["name"] for f in page["items"]]
        if not page["next"]:
            break
        query["cursor"] = page["next"]
    assert names == [f"page-{i}" for i in range(5)]
    for query in [{"limit": 0}, {"limit": "x"}, {"limit": 100000}, {"unknown": 1}]:
        answer = server.api.get(f"{base}/functions", params=query)
        assert answer.status_code == 422 and list(answer.json()["fields"]) == list(query)


def test_problems_say_what_and_why(server):
    answer = server.api.post("/v1/projects/default/functions", json={"name": "Bad Name"})
    problem = answer.json()
    assert answer.status_code == problem["status"] == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["code"] == "invalid" and problem["title"] and problem["detail"] and problem["type"]
    assert UUID.match(problem["request_id"]) and "name" in problem["fields"]


@pytest.mark.parametrize("body,status", [
    (b"{", 400), (b"[]", 400), (b'{"name": "a", "name": "b"}', 400), (b'{"name": 7}', 422), (b"{}", 422),
    (b'{"name": "ok-name", "colour": 1}', 422), (b"\xff\xfe", 400), (b"[" * 5000, 400), (b"", 422)])
def test_bodies_that_are_no_function(server, body, status):
    answer = server.api.post("/v1/projects/default/functions", content=body,
                             headers={"Content-Type": "application/json"})
    assert answer.status_code in (status, 422 if status == 400 else status), answer.text
    assert answer.json()["code"]


def test_unknown_paths_and_methods(server):
    assert server.api.get("/v1/nothing").status_code == 404
    assert server.api.get("/v1/projects/default/functions/x/y/z").status_code == 404
    answer = server.api.put("/v1/projects")
    assert answer.status_code == 405 and set(answer.headers["Allow"].split(", ")) >= {"GET", "POST"}
    assert server.api.post("/v1/projects/default/functions", content=b"name=x",
                           headers={"Content-Type": "application/x-www-form-urlencoded"}).status_code == 415


def test_health_needs_no_token(server):
    client = server.client()
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    client.close()


def test_the_same_bytes_are_stored_once(server, guests):
    module = (guests / "wasi-echo.wasm").read_bytes()
    for name in ("once", "twice"):
        server.deploy(name, module)
    digest = hashlib.sha256(module).hexdigest()
    blobs = [path for path in (server.data / "blobs").rglob(f"*{digest[4:]}*") if path.is_file()]
    assert len(blobs) == 1 and blobs[0].read_bytes() == module


def test_follow_resumes_after_the_last_event(server, guests):
    function = server.deploy("resumed", guests / "cwa-log.wasm")
    function.ask()
    items = eventually(lambda: (got := function.logs()) if len(function.logs()) >= 5 else None)
    after = items[1]["id"]
    path = f"{function.path}/logs?follow=1"
    with server.api.stream("GET", path, headers={"Last-Event-ID": after}) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        first = next(line for line in answer.iter_lines() if line.startswith("id: "))
    assert first == f"id: {items[2]['id']}"

