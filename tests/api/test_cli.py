"""The command line as somebody meets it who has just found it: what is typed wrongly, what is missing."""

import os
import shlex
import subprocess

from server import binary


def test_help_of_everything(bare_cli):
    """Each verb shows its usage and an example, and so does each verb below it."""
    listed = bare_cli("help").out
    for row in bare_cli("help", "--json").json["items"]:
        assert f"  {row['name']} " in listed
        for path in (row["name"], *(f"{row['name']} {below['name']}" for below in row["commands"])):
            text = bare_cli("help", *path.split()).out
            assert text.startswith(f"usage: wasmcloud {path}") and "\nexample:\n  " in text, path
            assert max(map(len, text.partition("\n\n")[0].splitlines())) <= 80 or path == "explain", path
            assert bare_cli(*path.split(), "--help").out == text


def test_misspelt(bare_cli):
    for words, near in ((("dploy",), "deploy"), (("help", "dploy"), "deploy"), (("token", "creat"), "create"),
                        (("help", "token", "creat"), "create"), (("runs", "pul", "x"), "runs pull"), (("list", "--jsn"), "--json"),
                        (("help", "--jsn"), "--json"), (("backup", "verfy", "x"), "backup verify"), (("serve", "--dta", "x"), "data")):
        assert f'did you mean "{near}"?' in bare_cli(*words, status=2).err, words
    for words in (("domain",), ("help", "domain"), ("project", "invite", "x")):
        assert "not in this version" in bare_cli(*words, status=2).err
    assert "goes before" in bare_cli("token", "--json", status=2).err


def test_names_that_are_none(cli):
    for words in (("get", ""), ("list", "--project", "")):
        assert "is empty" in cli(*words, status=2).err
    assert "--name: " in cli("deploy", os.devnull, "--name", "", status=2).err
    for words in (("logs", "a/b"), ("list", "--project", "../x")):
        assert "has a slash" in cli(*words, status=3).err


def test_next_command(cli, guest):
    """What is missing decides what to type next."""
    name = guest("cwa-echo").name
    for words, following in ((("get", "nope"), "list"), (("get", name, "--project", "nope"), "project list"),
                             (("promote", name, "99"), f"versions {name}"), (("undelete", "nope"), "list --deleted"),
                             (("secret", "unset", "NOPE"), "secret list"), (("explain", "nope"), "runs"), (("token", "revoke", "nope"), "token list")):
        assert cli(*words, status=3).err.endswith(f"\nnext: wasmcloud {following}\n"), words
    assert "next: " not in cli("import", "nope.tar", status=3).err
    assert "unset WASMCLOUD_TOKEN" in cli("list", env={"WASMCLOUD_TOKEN": "x"}, status=4).err
    assert "not logged in" in cli("list", env={"WASMCLOUD_TOKEN": None}, status=4).err


def test_the_other_address(cli, server):
    """The one of functions, given for the API's."""
    assert "where functions answer" in cli("list", env={"WASMCLOUD_URL": server.functions_url}, status=3).err
    moved = server.functions_url.replace("localhost", "127.0.0.1")
    wrong = cli("list", env={"WASMCLOUD_URL": moved}, status=6).err
    assert "redirects to" in wrong and server.functions_url in wrong


def test_top_by(cli):
    assert cli("top", "--once", "--by", "requests", "--interval", "1", "--json").json["items"] is not None


def test_deploy_judges_before_it_builds(cli, tmp_path):
    (tmp_path / "function.yaml").write_text("module: x.wasm\nbuild: touch built\n")
    for flag, value, reason in (("--name", "A_B", "a-z"), ("--check", "x", "GET /healthz"), ("--preview", "pubic", "public"),
                                ("--capture", "al", 'did you mean "all"?'), ("--response", "txt", "text")):
        assert reason in cli("deploy", flag, value, status=2).err
    (tmp_path / "function.yaml").write_text("module: x.wasm\nbuild: touch built\npolicy: none.yaml\n")
    assert 'no file "none.yaml" for its policy' in cli("deploy", status=2).err
    assert not (tmp_path / "built").exists()


def test_a_name_is_judged_before_a_secret_is_typed(cli):
    assert "digit" in cli.on_terminal("secret", "set", "1KEY", status=2, typed=b"", prompt=b"").out


def test_a_folder_with_an_odd_name(bare_cli, tmp_path):
    line = bare_cli("new", "it's  one", "--lang", "text").lines[-1]
    assert shlex.split(line.removeprefix("next: "))[:2] == ["cd", "it's  one"]


def test_a_full_disk_below_standard_output(cli, guests):
    for words, status in ((("list", "--json"), 1), (("version",), 1), (("run", guests / "cwa-echo.wasm"), 125)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([str(binary()), *map(str, words)], env=cli.env, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, timeout=60)
        assert done.returncode == status and b"can't write to standard output: No space" in done.stderr, done


def test_standard_streams_that_are_closed(cli):
    """No file or socket may take their place."""
    for close, status in ((">&-", 1), ("<&-", 0), ("2>&-", 0)):
        done = subprocess.run(["sh", "-c", f'"$0" list --json {close}', str(binary())], env=cli.env, cwd=cli.folder, capture_output=True, timeout=60)
        assert done.returncode == status, (close, done)
