"""`--json`: every command is run, and its output held to the table of docs/json.md."""

import json
import re
import signal

import jsonschema_rs

from cli import Cli, read_line
from contract import contract_of
from server import ROOT, STOP_SECONDS, binary

TABLE = dict(re.findall(r"^\| `([a-z ]+)` \| `(\w+)` \|", (ROOT / "docs/json.md").read_text(), re.M))
LOCAL = json.loads((ROOT / "docs/json.schema.json").read_text())


class Judge:
    """Holds what a command printed to its row's shape, and remembers which rows were seen."""

    def __init__(self, server):
        self.contract = contract_of(server.url, str(binary()))
        self.seen = set()

    def __call__(self, command, value, shape=None):
        shape = shape or TABLE[command]
        if shape in LOCAL["$defs"]:
            whole = {"$schema": LOCAL["$schema"], "$defs": LOCAL["$defs"], "$ref": f"#/$defs/{shape}"}
            wrong = [e.message for e in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]
            assert not wrong, f"{command} --json is no {shape}: {wrong} in {value}"
        else:
            self.contract.judge({"$ref": f"#/components/schemas/{shape}"}, value, f"{command} --json")
        self.seen.add(command)
        return value


def test_every_command(serve, guests, tmp_path):
    server = serve()
    cli, judge = Cli(tmp_path, server), Judge(server)
    env = guests / "wasi-env.wasm"

    def run(command, *words, shape=None, status=0, **kw):
        return judge(command, cli(*command.split(), *words, "--json", status=status, **kw).json, shape)

    # By itself
    for command in ("templates", "namegen", "doctor", "version", "help", "limits", "logout"):
        run(command)
    run("new", "made", "--lang", "text")
    run("completion", "bash")
    run("validate", env)
    run("validate", ROOT / "README.md", status=126)
    run("inspect", env)
    judge("run", json.loads(cli("run", "--json", guests / "cwa-echo.wasm").err))

    # Session
    run("login", server.url, stdin=server.token.encode())
    run("whoami")
    run("context list")
    run("context use", server.url)
    token = run("token create", "ci")
    run("token list")
    run("token revoke", token["id"])
    run("project create", "second")
    run("project list")
    run("project use", "default")

    # Ship
    run("create", "reserved")
    first = run("deploy", env, "--name", "json", "--capture", "all")
    run("deploy", "made", "--dry-run", shape="Drift")
    run("env set", "json", "A=1")
    run("env list", "json")
    run("env unset", "json", "A")
    run("limits set", "json", "memory=64MiB")
    run("versions", "json")
    run("diff", "json", "1", "2")
    run("preview", "json", "2")
    run("split", "json", "4=50", "3=50")
    run("rollback", "json", "1")
    run("promote", "json", "2")
    run("versions disable", "json", "3")
    run("versions enable", "json", "3")
    assert first["promoted"]

    # Shape
    (tmp_path / "p.yaml").write_text("allow: ['https://a.example/**']\n")
    run("policy set", "json", "p.yaml", "--yes")
    run("policy get", "json")
    run("policy allow", "https://b.example/", "json")
    run("policy allow", "https://c.example/", "--file", "p.yaml", shape="PolicyFile")
    run("policy learn", "json")
    run("policy test", "p.yaml", "https://a.example/x")
    run("policy convert", "p.yaml")
    run("secret set", "KEY", stdin=b"value")
    run("secret list")
    run("secret unset", "KEY")

    # Look
    record = run("invoke", "json")
    run("list")
    run("get", "json")
    run("logs", "json")
    run("runs", "json")
    run("runs show", record["id"])
    captured = server.guest(guests, "cwa-echo", capture="all")
    captured.post(body=b"x")
    run("runs pull", captured.runs()[0]["id"], "-o", "run.capture")
    run("explain", record["id"])
    run("usage")
    run("top", "--once", "--interval", "1")
    run("audit egress", "--to", "192.0.2.7")

    # Operate
    run("backup", "all.tar", "--keys")
    run("backup verify", "all.tar")
    run("restore", "all.tar", "--data", "restored")
    run("migrate", "--data", "restored")
    run("config init", "server.yaml")
    run("config check", "server.yaml")
    run("gc", "--dry-run")
    run("export", "default", "project.tar")
    judge("import", Cli(tmp_path, serve())("import", "project.tar", "--json").json)

    run("delete", "json")
    run("undelete", "json")

    dev = cli.start("dev", "made", "--json")
    text = b""
    while True:
        text += read_line(dev.stdout)
        try:
            judge("dev", json.loads(text))
            break
        except json.JSONDecodeError:
            assert dev.poll() is None, text
    dev.send_signal(signal.SIGINT)
    assert dev.wait(STOP_SECONDS) == 0
    dev.stdout.close()
    dev.stderr.close()

    assert judge.seen == set(TABLE)


def test_every_command_is_in_the_table(bare_cli):
    """What takes --json has a row, but for other names of a command; only `serve` has none to print."""
    rows = [row for row in bare_cli("completion", "bash", "--json").json["items"] if row["path"] not in ("ls", "rm", "update")]
    assert {row["path"] for row in rows if "--json" in row["words"]} == set(TABLE)
    verbs = {row["path"] for row in rows} - {path.split()[0] for path in TABLE if " " in path}
    assert verbs - set(TABLE) == {"serve"}
