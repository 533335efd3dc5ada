"""`deploy` of a folder: what function.yaml says, and where folder and server differ."""

import json
import re

import pytest

from cli import Cli
from server import ROOT


@pytest.fixture
def folder(tmp_path, guests):
    """folder("name: x\\n…", "env.wasm") writes a folder with this manifest and guest; its name is answered."""
    def make(text, module="wasi-env", **files):
        path = tmp_path / "folder"
        path.mkdir(exist_ok=True)
        (path / "code.wasm").write_bytes((guests / f"{module}.wasm").read_bytes())
        (path / "function.yaml").write_text(text)
        for name, content in files.items():
            target = path / name.replace("__", "/")
            target.parent.mkdir(exist_ok=True)
            target.write_text(content)
        return path
    return make


def live(server, name):
    return server.api_json(f"/v1/projects/default/functions/{name}/versions/live")


def test_sets_what_it_names_and_keeps_the_rest(cli, server, folder):
    path = folder("""\
name: folder
module: code.wasm
env: {FIRST: one, SECOND: 2}
limits: {memory: 64MiB, cpu: 2s}
policy:
  allow: ['https://api.example.com/**']
assets: public
check: GET /?x
timing: true
preview: public
capture: failures
""", public__index="hello")
    first = cli("deploy", path)
    assert first.lines[-1].startswith("http://folder.localhost")
    version = live(server, "folder")
    assert version["env"] == {"FIRST": "one", "SECOND": "2"} and version["limits"] == {"memory": "64MiB", "cpu": "2s"}
    assert version["policy"] == {"allow": ["https://api.example.com/**"]} and version["assets"]
    assert (version["check"], version["timing"], version["preview"], version["capture"]) == (
        "GET /?x", True, "public", "failures")

    # What the file no longer names stays, and is shown; null takes away; flags go first.
    folder("name: folder\nmodule: code.wasm\nenv: {FIRST: null, SECOND: two}\ntiming: false\n")
    drift = cli("deploy", path, "--dry-run", "--json").json
    changes = {row["setting"]: (row["from"], row["to"]) for row in drift["changes"]}
    assert changes == {"env.FIRST": ("one", None), "env.SECOND": ("2", "two"), "timing": (True, False)}
    assert {row["setting"] for row in drift["kept"]} == {
        "limits.memory", "limits.cpu", "policy", "assets", "check", "preview", "capture"}
    assert live(server, "folder")["number"] == version["number"]
    shown = cli("deploy", path, "--env", "THIRD=3").err
    assert re.search(r'env.SECOND +"2" -> "two"', shown) and re.search(r'limits.memory +"64MiB"', shown), shown
    now = live(server, "folder")
    assert now["env"] == {"SECOND": "two", "THIRD": "3"} and now["assets"] == version["assets"] and not now["timing"]

    # --exact takes away what isn't named.
    cli("deploy", path, "--exact")
    bare = live(server, "folder")
    assert bare["env"] == {"SECOND": "two"} and bare["limits"] == {} and bare["assets"] is None
    assert not bare["policy"] and (bare["check"], bare["preview"], bare["capture"]) == ("GET /", "members", "none")
    assert cli("deploy", path, "--dry-run", "--json").json == {"changes": [], "kept": []}


def test_name_project_and_files(cli, server, folder, tmp_path):
    """--name and --project go before the file's; without a name it is the module's; a policy may be a file."""
    cli("project", "create", "mine-elsewhere")
    path = folder("name: mine\nproject: mine-elsewhere\nmodule: code.wasm\npolicy: p.yaml\ncheck: none\n",
                  **{"p.yaml": "allow: [https://b.example/]\n"})
    cli("deploy", path)
    other = server.api_json("/v1/projects/mine-elsewhere/functions/mine/versions/live")
    assert other["policy"] == {"allow": ["https://b.example/"]}
    cli("deploy", path, "--project", "default", "--name", "yours")
    assert live(server, "yours")["digest"] == other["digest"]
    folder("module: code.wasm\n")
    assert cli("deploy", path).lines[-1].startswith("http://code.localhost")
    (path / "p.yaml").write_text("allow:\n  - https://a b/\n")
    folder("module: code.wasm\npolicy: p.yaml\n")
    assert "p.yaml:2:5: " in cli("deploy", path, status=2).err


def test_build(cli, folder, tmp_path):
    """Runs in the folder, is shown on standard error, and its status is the command's."""
    path = folder("name: built\nmodule: out.wasm\nbuild: |\n  echo to be seen\n  cp code.wasm out.wasm\ncheck: none\n")
    done = cli("deploy", path)
    assert "to be seen" in done.err and "to be seen" not in done.out and len(done.lines) == 1
    folder("name: built\nmodule: out.wasm\nbuild: exit 7\n")
    assert "status 7" in cli("deploy", path, status=7).err
    cli("deploy", path, "--no-build")
    folder("name: built\nmodule: missing.wasm\n")
    assert "missing.wasm" in cli("deploy", path, status=3).err
    folder("name: built\n")
    assert "names no module" in cli("deploy", path, status=2).err


def test_errors_come_before_anything_is_done(bare_cli, folder, tmp_path):
    """By file, line and column, and no build, no server."""
    path = folder("module: code.wasm\nbuild: touch built\nlimits:\n  memroy: 1MiB\n")
    wrong = bare_cli("deploy", path, status=2)
    assert f'{path}/function.yaml:4:3: there is no limit "memroy", did you mean "memory"?' in wrong.err
    assert not (path / "built").exists()


def test_nothing_foreign_reaches_a_terminal(bare_cli, folder):
    """A folder or a file from somebody else tells a terminal nothing, in errors either."""
    path = folder('"\\e]0;yours\\a": 1\n')
    said = bare_cli.on_terminal("deploy", path, status=2).out
    assert r"\x1b]0;yours\x07" in said and "\x1b]" not in said
    path = folder('module: code.wasm\nbuild: "exit 3 # \\e[8m\\nhidden"\n')
    said = bare_cli.on_terminal("deploy", path, status=3).out
    assert r"exit 3 # \x1b[8m" in said and "\x1b[8m" not in said


def test_schema_and_docs_know_every_key(bare_cli, tmp_path):
    bare_cli("new", "schema", "--lang", "text")
    schema = json.loads((tmp_path / "schema/.wasmcloud/function.schema.json").read_text())
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", (ROOT / "docs/function-yaml.md").read_text(), re.M)
    assert dict(rows) == {
        name: key["description"].replace("|", "\\|") for name, key in schema["properties"].items()}


def test_progress_on_a_terminal_only(serve, guests, tmp_path):
    cli = Cli(tmp_path, serve())
    shown = cli.on_terminal("deploy", guests / "go-cgi.wasm", "--name", "go", "--check", "none").out
    assert "compiling" in shown and "\x1b[K" in shown, shown
    piped = cli("deploy", guests / "go-cgi.wasm", "--name", "again", "--check", "none")
    assert piped.err == "" and len(piped.lines) == 1
