"""Working folders: `new` for each language, and `deploy` of what it wrote."""

import json
import os
import stat

import httpx
import pytest

from server import ROOT

LANGUAGES = ("c", "go", "rust", "text")


@pytest.fixture
def tools(tmp_path):
    """A PATH on which every language's compiler is found, the Rust one of tools/setup too."""
    folder = tmp_path / "tools"
    folder.mkdir()
    rustc = folder / "rustc"
    rustc.write_text(f'#!/bin/sh\nexec "{ROOT}/tools/rustc-wasm" "$@"\n')
    rustc.chmod(rustc.stat().st_mode | stat.S_IXUSR)
    return {"WASMCLOUD_CACHE": os.environ.get("WASMCLOUD_CACHE"),
            "PATH": os.pathsep.join([str(folder), os.path.dirname(os.environ.get("GO", "")),
                                    os.environ["PATH"]])}


def test_templates(bare_cli):
    assert tuple(row["language"] for row in bare_cli("templates", "--json").json["items"]) == LANGUAGES
    assert [line.split("\t")[0] for line in bare_cli("templates").lines] == list(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_new_deploys(cli, server, tools, tmp_path, language):
    name = f"new-{language}"
    made = cli("new", name, "--lang", language, "--json", env=tools)
    assert made.json == {"name": name, "folder": name, "language": language} and made.err == ""
    folder = tmp_path / name
    assert {"README.md", ".gitignore", "function.yaml"} <= set(os.listdir(folder))
    assert not any("{{" in file.read_text() for file in folder.iterdir() if file.is_file())

    first = (folder / "function.yaml").read_text().splitlines()[0]
    schema = folder / first.partition("$schema=")[2]
    assert first.startswith("# yaml-language-server: ") and "module" in json.loads(schema.read_text())["properties"]

    url = cli("deploy", name, env=tools).lines[-1]
    answer = httpx.get(f"{server.functions_url}/{name}/", follow_redirects=True)
    assert answer.text == f"Hello from {name}\n" and name in url
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"

    # Nothing differs afterwards, and a folder with something in it is left alone.
    assert cli("deploy", name, "--dry-run", "--json", env=tools).json == {"changes": [], "kept": []}
    again = cli("new", name, "--lang", language, status=1)
    assert "not empty" in again.err


def test_new_refuses(bare_cli, tmp_path):
    assert 'did you mean "rust"' in bare_cli("new", "x", "--lang", "rist", status=2).err
    assert "c, go, rust, text" in bare_cli("new", "x", status=2).err
    assert "a-z" in bare_cli("new", "www", "--lang", "c", status=2).err
    assert os.listdir(tmp_path) == []


def test_missing_tool(bare_cli, tmp_path):
    """`new` says what the build will miss, and a build that misses it how to get it."""
    empty = tmp_path / "empty"
    empty.mkdir()
    path = {"PATH": str(empty)}
    assert "apt install wabt" in bare_cli("new", "lacking", "--lang", "text", env=path).err
    failed = bare_cli("deploy", "lacking", status=127, env=path)
    assert "the build failed with status 127" in failed.err and "apt install wabt" in failed.err
