"""The commands without a server: run, validate, inspect."""

import json
import os
import pty
import signal
import subprocess

import pytest


@pytest.fixture
def local(program, guests, tmp_path_factory):
    """local("run", "cwa-echo", …): the command on that guest, with an image cache of the tests'."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    cache.mkdir(exist_ok=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}

    def command(verb, *words, **settings):
        words = [str(guests / f"{w[1:]}.wasm") if str(w).startswith(":") else str(w) for w in words]
        settings = {"env": environment, "stdin": subprocess.DEVNULL} | settings
        if "input" in settings:
            settings.pop("stdin")
        return [program, verb, *words], settings

    def start(verb, *words, **settings):
        words, settings = command(verb, *words, **settings)
        return subprocess.Popen(words, **settings)

    def run(verb, *words, **settings):
        words, settings = command(verb, *words, **settings)
        return subprocess.run(words, capture_output=True, timeout=60, **settings)

    run.start = start
    run.cache = cache
    return run


# ---- run ----

def test_streams_and_status(local):
    done = local("run", ":cwa-raw", input=b"to and\0fro")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"to and\0fro", b"")
    assert local("run", ":cwa-exit").returncode == 3
    assert local("run", ":wasi-exit").returncode == 3


def test_binary_both_ways(local):
    body = os.urandom(1 << 20) * 8
    done = local("run", "--cpu=20s", ":cwa-raw", input=body)
    assert done.returncode == 0 and done.stdout == body


def test_output_arrives_as_it_is_written(local):
    process = local.start("run", ":cwa-raw", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for part in b"one", b"two":
        process.stdin.write(part)
        process.stdin.flush()
        assert process.stdout.read(3) == part  # and only now is the next one written
    process.stdin.close()
    assert process.stdout.read() == b"" and process.wait() == 0


def test_arguments_and_environment(local):
    done = local("run", "--env=A=1", "--env", "B=x=y", ":wasi-env", "--ledger", "-x", "two words")
    lines = done.stdout.decode().splitlines()
    assert lines[3:6] == ["argv[1]=--ledger", "argv[2]=-x", "argv[3]=two words"]
    assert lines[6:] == ["A=1", "B=x=y"]
    assert done.stderr == b""


def test_plays_a_request(local):
    done = local("run", "--cgi", "POST /a%20b?x=1", "--header", "X-Some: field",
                 "--env", "OWN=1", ":wasi-env", input=b"12345")
    lines = done.stdout.decode().splitlines()
    for line in ("REQUEST_METHOD=POST", "PATH_INFO=/a b", "QUERY_STRING=x=1", "CONTENT_LENGTH=5",
                 "REQUEST_URI=/a%20b?x=1", "HTTP_X_SOME=field", "HTTP_HOST=localhost", "OWN=1"):
        assert line in lines
    assert any(line.startswith("RUN_ID=") for line in lines)
    assert lines[:3] == ["HTTP/1.1 200 OK", "Content-Type: text/plain", ""]
    done = local("run", "--cgi", "/", "--limit", "request-body=4", ":cwa-raw", input=b"12345")
    assert done.returncode == 2 and b"request-body" in done.stderr
    for wrong in "x", "GET x", " /", "/%00", "GET http:///", "GET http://host:0/":
        assert local("run", "--cgi", wrong, ":cwa-raw").returncode == 2
    assert local("run", "--cgi", "/", "--header", "x", ":cwa-raw").returncode == 2


def test_plays_a_request_with_a_url_and_a_file(local, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"123")
    done = local("run", "--cgi", "PUT", "https://host.example/a?b", "-H", "X-Some: field", "--body", body,
                 ":wasi-env", "--cgi", "GET", "/its-own", input=b"12345")
    lines = done.stdout.decode().splitlines()
    for line in ("REQUEST_METHOD=PUT", "HTTPS=on", "SERVER_NAME=host.example", "SERVER_PORT=443",
                 "HTTP_HOST=host.example", "CONTENT_LENGTH=3", "HTTP_X_SOME=field", "argv[2]=GET"):
        assert line in lines
    done = local("run", "--cgi", "GET http://[::1]:8080", ":wasi-env")
    assert {"SERVER_PORT=8080", "HTTP_HOST=[::1]:8080", "PATH_INFO=/"} <= set(done.stdout.decode().splitlines())


@pytest.mark.parametrize("output, shown, cause", [
    (b"Content-Type: a/b\r\nStatus: 404 No\r\n\r\nbody\n",
     b"HTTP/1.1 404 Not Found\nContent-Type: a/b\n\nbody\n", None),
    (b"Location: http://host/\n\n", b"HTTP/1.1 302 Found\nLocation: http://host/\n\n", None),
    (b"Content-Type: a/b\nContent-Length: 2\n\nbody",
     b"HTTP/1.1 200 OK\nContent-Type: a/b\nContent-Length: 2\n\nbo", b"longer than its Content-Length"),
    (b"Content-Type: a/b\nContent-Length: 9\n\nbody",
     b"HTTP/1.1 200 OK\nContent-Type: a/b\nContent-Length: 9\n\nbody", b"shorter than its Content-Length"),
    (b"body", b"", b"doesn't begin with a header field"),
    (b"Status: 200\n\nbody", b"", b"no Content-Type"),
    (b"", b"", b"nothing was printed"),
])
def test_shows_the_answer_as_a_server_makes_it(local, output, shown, cause):
    done = local("run", "--cgi", "POST /", ":cwa-raw", input=output)
    assert done.stdout == shown
    assert done.returncode == (1 if cause else 0)
    assert (cause or b"") in done.stderr and (b"(bad_cgi)" in done.stderr) == bool(cause)


def test_an_answer_without_end(local):
    """Streams through the judge of heads; credit is given back for the head's bytes too."""
    head = b"Content-Type: text/plain\n\n"
    body = os.urandom(1 << 20)
    done = local("run", "--cpu=20s", "--cgi", "POST /", ":cwa-raw", input=head + body)
    assert done.returncode == 0 and done.stdout == b"HTTP/1.1 200 OK\n" + head + body


# ---- policy, gas, trace ----

def test_policy(local, tmp_path):
    done = local("run", ":cwa-resources")
    assert done.returncode == 159
    for part in ("http://example.com/", "no rule allows it", "policy allow", "(policy)",
                 "--policy FILE, with this in FILE: allow: ['http://example.com/']"):
        assert part in done.stderr.decode()
    policy = tmp_path / "policy.yaml"
    policy.write_text("disallow: ['zero://**']\non_violation: error\n")
    done = local("run", "--json", "--policy", policy, ":cwa-resources")
    ledger = json.loads(done.stderr.splitlines()[-1])
    assert done.returncode == 0 and b"zero:// open -3" in done.stdout
    refused = {row["url"]: row["rule"] for row in ledger["refusals"]}
    assert "zero://**" in refused["zero://"] and "no rule" in refused["http://example.com/"]
    assert ledger["opens"] == 3 and ledger["refused"] == 2 and len(ledger["policy"]) == 64
    policy.write_text("allow: [\n")
    done = local("run", "--policy", policy, ":cwa-hello")
    assert done.returncode == 2 and f"{policy}:".encode() in done.stderr
    assert local("run", "--policy", tmp_path / "none", ":cwa-hello").returncode == 127


def test_limits_in_a_policy(local, tmp_path):
    """Olin's page and gas limits: the smallest of all counts."""
    policy = tmp_path / "old.policy"
    policy.write_text("ram-page-limit 32\ngas-limit 500\nallow .*\n")
    done = local("run", "--json", "--policy", policy, ":cwa-resources")
    ledger = json.loads(done.stderr.splitlines()[-1])
    assert done.returncode == 152 and ledger["cause"] == "gas_limit" and ledger["gas"] == 500
    done = local("run", "--json", "--gas=300", "--policy", policy, ":cwa-resources")
    assert json.loads(done.stderr.splitlines()[-1])["gas"] == 300
    policy.write_text("ram-page-limit 1\nallow .*\n")
    done = local("run", "--policy", policy, ":cwa-hello")
    assert done.returncode == 126 and b'limit "memory"' in done.stderr


def test_gas_is_the_same_each_time(local):
    def gas(*flags):
        done = local("run", "--json", *flags, ":cwa-raw", input=b"five\n" * 1000)
        assert done.returncode == 0
        return json.loads(done.stderr)["gas"]
    first = gas("--gas", "10000000")
    assert first > 20
    assert {gas("--gas", "20000000") for _ in range(5)} == {first}
    assert gas() == 0


def test_trace(local):
    done = local("run", "--trace", ":cwa-hello")
    assert done.returncode == 0 and done.stdout.startswith(b"Content-Type")
    lines = done.stderr.decode().splitlines()
    assert any(line.startswith('cwa.log_write(6, "said hello", 10)  (') for line in lines)
    write, = (line for line in lines if line.startswith("cwa.resource_write(1, "))
    assert '"Content-Type: text/plain\\n' in write and ", 56) -> 56  (" in write and write.endswith(" µs)")
    assert "said hello" in lines  # the log goes on as before
    assert "wasi.proc_exit(3) ends the run" in local("run", "--trace", ":wasi-exit").stderr.decode()


def test_bench(local):
    done = local("run", "--bench", "50", "--json", "--cgi", "GET", "/", ":cwa-hello")
    rows = json.loads(done.stdout)
    assert done.returncode == 0 and done.stderr == b"said hello\n"  # the first one's
    assert {name: rows[name]["samples"] for name in ("instantiate", "run")} == {"instantiate": 50, "run": 50}
    for row in rows.values():
        assert 0 < row["min"] <= row["median"] <= row["p99"]
    table = [line.split("\t") for line in local("run", "--bench=3", "--gas=9999999", ":wasi-hello").stdout.decode().splitlines()]
    assert [row[0] for row in table] == ["compile", "open", "instantiate", "run"] and table[3][1] == "3"
    assert local("run", "--bench", "5", ":cwa-trap").returncode == 134
    assert local("run", "--bench", "0", ":cwa-hello").returncode == 2


def test_assets(local, tmp_path):
    folder = tmp_path / "assets"
    folder.mkdir()
    (folder / "page.html").write_text("<p>hello")
    for _ in range(2):
        done = local("run", "--assets", folder, "--cgi", "GET", "/page.html", ":wasi-site")
        assert done.returncode == 0, done.stderr
        assert done.stdout.partition(b"\n\n")[2] == b"<p>hello"
    done = local("run", "--cgi", "/page.html", ":wasi-site")
    assert done.stdout.startswith(b"HTTP/1.1 404 Not Found\n")
    kept = [p for p in local.cache.rglob("assets/*")]
    assert len(kept) >= 1 and all(p.stat().st_mode & 0o777 == 0o444 for p in kept)
    (folder / "pipe").symlink_to("/etc/passwd")
    done = local("run", "--assets", folder, ":cwa-hello")
    assert done.returncode != 0 and b"pipe" in done.stderr
    assert local("run", "--assets", tmp_path / "none", ":cwa-hello").returncode == 127


def test_runs_under_its_short_name(local, tmp_path, program, guests):
    link = tmp_path / "pahi"
    link.symlink_to(program)
    done = subprocess.run([link, guests / "cwa-hello.wasm"], capture_output=True,
                          env={**os.environ, "XDG_CACHE_HOME": str(local.cache)})
    assert done.returncode == 0 and b"Hello" in done.stdout


def test_log_goes_to_standard_error(local):
    lines = local("run", ":cwa-log").stderr.decode().splitlines()
    assert lines[:3] == ["error: an error", "warning: a warning", "an information"]
    assert "from stderr" in lines


def test_ledger(local):
    done = local("run", "--ledger", ":cwa-raw", input=b"12345")
    assert b"cwa.resource_read" in done.stderr and done.stdout == b"12345"
    done = local("run", "--json", ":cwa-raw", input=b"12345")
    ledger = json.loads(done.stderr)
    assert ledger["cause"] == "ok" and ledger["exit_status"] == 0
    assert ledger["bytes_in"] == ledger["bytes_out"] == 5
    assert ledger["calls"] == sum(ledger["host_calls"].values())
    assert ledger["memory_peak"] >= 65536


@pytest.mark.parametrize("guest, status, cause", [
    ("cwa-trap", 134, "trap"),
    ("cwa-descriptor", 134, "bad_descriptor"),
    ("cwa-pointer", 139, "bad_pointer"),
    ("cwa-recurse", 139, "stack_overflow"),
    ("cwa-loop", 152, "cpu_limit"),
])
def test_what_ends_a_run(local, guest, status, cause):
    done = local("run", "--cpu=100ms", ":" + guest)
    assert done.returncode == status
    assert f"({cause})" in done.stderr.decode()


def test_trap_shows_the_stack(local):
    assert b"cwa_main" in local("run", ":cwa-trap").stderr


def test_cpu_limit_shows_where(local):
    said = local("run", "--cpu=50ms", ":cwa-loop").stderr.decode()
    assert "it used up its CPU time\n    at cwa_main (0x" in said and "--limit cpu=" in said


def test_wall_limit(local):
    done = local("run", "--json", "--limit=stream-idle=20ms", ":cwa-sleep")
    assert done.returncode == 142
    assert json.loads(done.stderr.splitlines()[-1])["cause"] == "wall_limit"


def test_wall_limit_does_not_count_waiting_for_input(local):
    process = local.start("run", "--limit=wall=1s", ":cwa-raw", stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.2)
    assert process.communicate(b"late")[0] == b"late"
    assert process.returncode == 0


@pytest.mark.parametrize("sent, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ends_cleanly_when_asked(local, sent, status):
    process = local.start("run", "--json", ":cwa-raw", stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"x")
    process.stdin.flush()
    assert process.stdout.read(1) == b"x"  # it runs
    process.send_signal(sent)
    ledger = json.loads(process.stderr.read())
    assert process.wait() == status
    assert ledger["cause"] == "cancelled" and ledger["bytes_out"] == 1


def test_nobody_reads_its_output(local):
    process = local.start("run", "--cpu=20s", ":cwa-flood", stdout=subprocess.PIPE)
    assert len(process.stdout.read(10)) == 10
    process.stdout.close()
    assert process.wait(60) == 128 + signal.SIGPIPE


def test_on_a_terminal(local):
    """Reads what is typed; control bytes of the log don't reach the terminal."""
    ours, theirs = pty.openpty()
    process = local.start("run", ":cwa-raw", stdin=theirs, stdout=theirs, stderr=theirs)
    os.write(ours, b"typed\n\x04")
    got = b""
    while got.count(b"typed") < 2:  # the echo and the answer
        got += os.read(ours, 1024)
    assert process.wait(60) == 0
    os.close(ours)
    os.close(theirs)


def test_mistakes(local, tmp_path):
    assert local("run").returncode == 2
    assert local("run", "--bogus", ":cwa-raw").returncode == 2
    assert local("run", "--env", "A", ":cwa-raw").returncode == 2
    assert local("run", "--memory", "5GiB", ":cwa-raw").returncode == 2
    assert local("run", str(tmp_path / "nothing.wasm")).returncode == 127
    assert local("run", ":cwa-unknown-import").returncode == 126
    assert local("run", ":cwa-huge-memory").returncode == 126
    done = local("run", "--memory=64KiB", ":cwa-raw")
    assert done.returncode == 126 and b'limit "memory"' in done.stderr


# ---- the cache of images ----

def images(cache):
    return [p for p in cache.rglob("*") if p.is_file()]


def test_compiles_once(local, tmp_path, program, guests):
    def run():
        return subprocess.run([program, "run", guests / "cwa-raw.wasm"], input=b"x",
                              capture_output=True, env={**os.environ, "XDG_CACHE_HOME": tmp_path})
    assert run().stdout == b"x"
    image, = images(tmp_path)
    made = image.stat().st_ino
    assert run().stdout == b"x"
    assert [p.stat().st_ino for p in images(tmp_path)] == [made]
    assert image.stat().st_mode & 0o777 == 0o444

    # an image that is cut short is an error, not a crash, and the next run has a new one
    image.unlink()
    image.write_bytes(b"\x7fELF")
    assert run().returncode == 125
    assert run().stdout == b"x"

    # native code is only taken from a folder that nobody else can write to
    (tmp_path / "wasmcloud/images").chmod(0o777)
    done = run()
    assert done.returncode == 125 and b"others" in done.stderr


def test_old_images_go(tmp_path, program, guests):
    def run(guest):
        return subprocess.run([program, "run", guests / guest], input=b"x", capture_output=True,
                              env={**os.environ, "XDG_CACHE_HOME": tmp_path})
    assert run("cwa-raw.wasm").returncode == 0
    image, = images(tmp_path)
    for i in range(80):
        old = image.parent / f"{i:064x}"
        old.write_bytes(b"old")
        os.utime(old, (i, i))
    left = image.parent / f".{image.name}.1"
    left.write_bytes(b"left by a run that was killed")
    os.utime(left, (1, 1))
    assert run("cwa-echo.wasm").returncode == 0
    names = {p.name for p in images(tmp_path)}
    assert len(names) == 64 and image.name in names and left.name not in names
    assert f"{79:064x}" in names and f"{17:064x}" not in names


def test_closed_streams(local):
    done = local("run", ":cwa-raw", preexec_fn=lambda: os.close(0))
    assert done.returncode == 0 and done.stdout == b""


def test_compile_limits(local, tmp_path):
    done = local("run", "--limit=module-segments=1", ":go-cgi")
    assert done.returncode == 126 and b"module-segments" in done.stderr
    done = local("run", "--limit=compile-wall=1ms", ":go-cgi",
                 env={**os.environ, "XDG_CACHE_HOME": tmp_path})
    assert done.returncode == 126 and b"compile-wall" in done.stderr


# ---- validate, inspect ----

@pytest.mark.parametrize("guest, code, part", [
    ("cwa-unknown-import", "unknown_import", "make_coffee"),
    ("cwa-wrong-import", "import_type", "(i64 i32 i32) -> ()"),
    ("cwa-reactor", "no_entry_point", "reactor"),
    ("cwa-huge-memory", "module_limit", 'limit "memory"'),
])
def test_refused(local, guest, code, part):
    done = local("validate", ":" + guest)
    assert done.returncode == 126 and part in done.stderr.decode()
    done = local("validate", "--json", ":" + guest)
    answer = json.loads(done.stdout)
    assert done.returncode == 126 and done.stderr == b""
    assert not answer["accepted"] and answer["code"] == code and part in answer["detail"]


def test_accepted(local):
    for guest, abi in ("cwa-raw", "cwa"), ("wasi-hello", "wasi"), ("go-cgi", "wasi"):
        answer = json.loads(local("validate", "--json", ":" + guest).stdout)
        assert answer["accepted"] and answer["abi"] == abi
    assert local("validate", "nothing").returncode == 127


@pytest.mark.parametrize("content, part", [
    (b"", "empty"), (b"\0asm", "truncated"), (b"\0asm\x0d\0\1\0", "component"),
    (b"(module)", "wat2wasm"), (b'{"a":1}', "JSON"), (b"\x1f\x8b\x08", "gzip"),
    (b"\x7fELF\2\1\1\0", "ELF"), (b"\xfe" * 1000, "doesn't start with"),
])
def test_no_module(local, tmp_path, content, part):
    file = tmp_path / "file"
    file.write_bytes(content)
    done = local("validate", str(file))
    assert done.returncode == 126 and part in done.stderr.decode()
    assert local("run", str(file)).returncode == 126


def test_the_compiler_judges_too(local, tmp_path):
    file = tmp_path / "file.wasm"  # i32.add with nothing on the stack
    file.write_bytes(bytes.fromhex("0061736d01000000 010401600000 03020100 0503010001"
                                   "070a01065f73746172740000 0a050103006a0b"))
    for verb in "validate", "run":
        done = local(verb, str(file))
        assert done.returncode == 126 and b"type mismatch" in done.stderr


def test_every_truncation_is_refused(local, guests, tmp_path):
    whole = (guests / "cwa-hello.wasm").read_bytes()
    file = tmp_path / "file.wasm"
    for n in range(0, len(whole), max(1, len(whole) // 25)):
        file.write_bytes(whole[:n])
        assert local("validate", str(file)).returncode == 126


def test_inspect(local):
    answer = json.loads(local("inspect", "--json", ":cwa-raw").stdout)
    assert answer["accepted"] and answer["abi"] == "cwa" and answer["entry"]
    read, = (i for i in answer["imports"] if i["name"] == "resource_read")
    assert read["type"] == "(i32 i32 i32) -> i32" and read["offered"]
    assert {e["name"] for e in answer["exports"]} >= {"memory", answer["entry"]}

    answer = json.loads(local("inspect", "--json", ":cwa-huge-memory").stdout)
    memory, = (row for row in answer["limits"] if row["name"] == "memory")
    assert memory["found"] > memory["allowed"] and not answer["accepted"]
    assert answer["opens"] == {"with": [], "schemes": [], "policy": None}
    text = local("inspect", ":cwa-unknown-import").stdout.decode()
    assert "refused" in text and "unknown_import" in text


def test_inspect_says_what_could_be_opened(local, tmp_path):
    policy = tmp_path / "old.policy"
    policy.write_text("ram-page-limit 1\nallow ^https://example\\.com/\n")
    opens = json.loads(local("inspect", "--json", ":cwa-resources").stdout)["opens"]
    assert opens["with"] == ["cwa.resource_open"] and opens["policy"] is None
    assert {"null", "log", "https", "gemini"} <= set(opens["schemes"])
    answer = json.loads(local("inspect", "--json", "--policy", policy, ":cwa-resources").stdout)
    assert answer["opens"]["policy"]["allow"] == [{"regex": "^https://example\\.com/"}]
    assert not answer["accepted"] and 'limit "memory"' in answer["detail"]  # two pages, one allowed
    assert "opens nothing" in local("inspect", ":cwa-exit").stdout.decode()
    assert "dagger.open" in local("inspect", ":dagger-same").stdout.decode()
