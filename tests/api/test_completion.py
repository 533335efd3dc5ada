"""`completion bash`: the script, asked by bash itself."""

import os
import subprocess

import pytest

from server import binary

ASK = """
source "$1"
shift
COMP_WORDS=(wasmcloud "$@") COMP_CWORD=$#
_wasmcloud
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def complete(cli, tmp_path):
    """complete("deploy", "--na") are the words that bash offers after `wasmcloud deploy --na`."""
    script = tmp_path / "completion"
    script.write_text(cli("completion", "bash").out)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/wasmcloud").symlink_to(binary())

    def ask(*words):
        env = cli.env | {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(["bash", "--norc", "-c", ASK, "bash", str(script), *words], capture_output=True, text=True,
                              env=env, cwd=tmp_path, timeout=30)
        assert done.returncode == 0 and done.stderr == "", done
        return sorted(done.stdout.split())

    return ask


def test_verbs_and_flags(cli, complete):
    assert complete("dep") == ["deploy"]
    assert "runs" in complete("") and "edge" not in complete("") and "--help" not in complete("")
    assert complete("deploy", "--no-b") == ["--no-build"]
    assert complete("token", "cr") == ["create"] and complete("help", "vali") == ["validate"]
    assert "--scope" in complete("token", "create", "x", "--s") and "--scope" not in complete("token", "--s")
    assert "show" in complete("runs", "sh") and "--failed" in complete("runs", "--fa")


def test_functions_and_files(complete, guest, tmp_path):
    name = guest("cwa-echo").name
    assert name in complete("logs", name[:5]) and name in complete("get", "")
    assert name not in complete("create", "") and name not in complete("whoami", "")
    (tmp_path / "module.wasm").touch()
    assert "module.wasm" in complete("deploy", "mod") and "module.wasm" in complete("validate", "")
    assert complete("deploy", "--policy", "modu") == ["module.wasm"]


def test_names_are_not_run(complete, tmp_path):
    """compgen expands its words: what a server calls a function must not be a command here."""
    trap = tmp_path / "trap"
    (tmp_path / "bin/wasmcloud").unlink()
    (tmp_path / "bin/wasmcloud").write_text(
        f"#!/bin/sh\nprintf '%s\\tlive\\n' good '$(touch${{IFS}}{trap})' '`touch${{IFS}}{trap}`'\n")
    (tmp_path / "bin/wasmcloud").chmod(0o755)
    offered = complete("logs", "")
    assert "good" in offered and not trap.exists() and not any("touch" in word for word in offered)


def test_what_else_has_names(cli, complete, guest):
    name = guest("cwa-echo").name
    assert complete("help", "token", "r") == ["revoke"] and complete("help", "deploy", "d") == []
    assert name in complete("env", "list", "") and name in complete("rm", "") and name in complete("policy", "allow", "https://h/", "")
    assert complete("deploy", "--response", "") == ["cgi", "text"] and complete("top", "--by", "r") == ["requests"]
    assert complete("list", "--project", "d") == ["default"] and "default" in complete("project", "use", "")
    cli("secret", "set", "COMPLETED", stdin=b"x")
    assert "COMPLETED" in complete("secret", "unset", "C") and complete("env", "set", name, "--secret", "COM") == ["COMPLETED"]
    cli("secret", "unset", "COMPLETED")
    cli("create", "completed-gone")
    cli("delete", "completed-gone")
    assert "completed-gone" in complete("undelete", "") and "completed-gone" not in complete("get", "")


def test_every_flag_of_the_help_is_offered(cli, complete):
    """For each command: what its help lists and what the script knows are the same."""
    for row in cli("completion", "bash", "--json").json["items"]:
        if row["path"] == "help" or not (text := cli("help", *row["path"].split()).out).count("flags:"):
            continue
        flags = [word.rstrip(",") for line in text.split("flags:\n")[1].split("\n\n")[0].splitlines()
                 for word in line.split()[:2] if word.startswith("--")]
        assert sorted(set(flags) - {"--help"}) == sorted(w for w in row["words"] if w.startswith("--")), row["path"]


def test_other_shells(bare_cli):
    assert "bash" in bare_cli("completion", "zsh", status=2).err
