"""A bit that the disk has changed is found before anything is run: in compiled images and assets, which
are made again, and in what was uploaded, which is then said to be damaged."""

import os
import shutil
import signal
import threading

import pytest

from server import eventually
from test_assets import tar
from wire import head


@pytest.fixture
def old(serve, guests, tmp_path):
    """A stopped server with the function `hello`; how to damage its files and
    how to start it again."""
    first = serve(tmp_path)
    first.deploy("hello", guests / "cwa-hello.wasm")
    first.stop()

    class Old:
        data = first.data

        def image(self):
            return next(p for p in self.data.glob("images/*/*/*") if p.is_file())

        def start(self, **kw):
            return serve(tmp_path, **kw)

    return Old()


def flip(path, at, bit=0):
    """Turns one bit of a file round, as a disk does: the program is not told."""
    path.chmod(0o644)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def offsets(size, count):
    """All over a file: its start, its end, and evenly between."""
    edge = [0, 5, 18, 40, size - 1, size - 5, size - 9, size - 20]
    return edge + [i * size // count for i in range(1, count)]


def hello(server):
    with server.wire(host=f"hello.localhost:{server.port}") as wire:
        return wire.ask("/")


ONE_RUN = {"edges": 1, "limits": "exec-runs=1"}  # each request has an exec that opens its files anew


def test_a_bit_of_an_image(old):
    """While the server runs: each exec that opens it sees the damage, and control makes it again."""
    server = old.start(**ONE_RUN)
    right = hello(server)
    assert right.status == 200
    image = old.image()
    whole = image.read_bytes()
    for bit, at in enumerate(offsets(len(whole), 12)):
        before = server.log().count("image_unsound")
        copy = image.with_name("tmp-flipped")
        shutil.copyfile(image, copy)
        flip(copy, at, bit % 8)
        copy.rename(image)
        answer = hello(server)
        assert (answer.status, answer.body) == (200, right.body), at
        assert server.log().count("image_unsound") == before + 1, at
        assert image.read_bytes() == whole, at


def test_a_cut_image(old):
    server = old.start(**ONE_RUN)
    assert hello(server).status == 200
    image = old.image()
    whole = image.read_bytes()
    for size in (0, 1, 63, len(whole) // 2, len(whole) - 1, len(whole) + 1):
        image.unlink()
        image.write_bytes((whole + b"\0")[:size])
        assert hello(server).status == 200, size
        assert image.read_bytes() == whole, size


def test_a_bit_of_an_uploaded_module(old, guests):
    """The image has to be made anew, from a module that is not what was uploaded."""
    image = old.image()
    image.unlink()
    blob = next((old.data / "blobs").iterdir())
    flip(blob, blob.stat().st_size // 2)
    server = old.start(expect_errors=("image_repair",))
    assert eventually(lambda: "the stored module is damaged" in server.log())
    with server.wire(host=f"hello.localhost:{server.port}") as waiting:
        waiting.request("/")
        # Uploading the same bytes again repairs it, for the request that waits too.
        assert server.deploy("hello", guests / "cwa-hello.wasm", expect=200).get().status == 200
        assert waiting.answer().status == 200
    assert blob.read_bytes() == (guests / "cwa-hello.wasm").read_bytes()


def test_a_module_that_is_uploaded_again_while_it_is_compiled(old, guests):
    """The compile job has read the damaged bytes when the right ones come: it is started again with
    these, for everybody who waits."""
    whole = (guests / "cwa-hello.wasm").read_bytes()
    old.image().unlink()
    blob = next((old.data / "blobs").iterdir())
    flip(blob, blob.stat().st_size // 2)
    server = old.start(expect_errors=("image_repair",))
    assert eventually(lambda: "the stored module is damaged" in server.log())
    path, statuses = "/v1/projects/default/functions/hello", []

    def deploy():
        made = server.api.post(f"{path}/versions", json={"env": {"A": "1"}, "check": "none"})
        statuses.append(made.status_code)

    waiting = threading.Thread(target=deploy)
    os.kill(server.pid, signal.SIGSTOP)  # master, which starts such jobs
    try:
        waiting.start()
        assert eventually(lambda: list(old.data.glob("images/*/*/tmp-*"))), "the job has its files"
        with server.platform_wire() as wire:
            wire.send(head(f"{path}/module?check=none", "PUT", [
                ("Authorization", f"Bearer {server.token}"), ("Content-Type", "application/wasm"),
                ("Content-Length", len(whole))], host=wire.host) + whole)
            assert eventually(lambda: blob.read_bytes() == whole)
            os.kill(server.pid, signal.SIGCONT)
            assert wire.answer().status in (200, 201)
    finally:
        os.kill(server.pid, signal.SIGCONT)
        waiting.join()
    assert statuses == [201] and hello(server).status == 200


def test_a_bit_of_assets(serve, guests):
    server = serve(**ONE_RUN)
    page = b"<p>as it was</p>\n" * 200
    made = server.api.post("/v1/projects/default/assets", content=tar({"index.html": page}),
                           headers={"Content-Type": "application/x-tar"}).json()
    site = server.deploy("site", guests / "wasi-site.wasm", assets=made["digest"])
    right = site.get("/index.html")
    assert page in right.body
    copy = next((server.data / "images").glob(f"*/*/assets/{made['digest']}"))
    whole = copy.read_bytes()
    for bit, at in enumerate(offsets(len(whole), 12)):
        damaged = copy.with_name("tmp-flipped")
        shutil.copyfile(copy, damaged)
        flip(damaged, at, bit % 8)
        damaged.rename(copy)
        answer = site.get("/index.html")
        assert (answer.status, answer.body) == (200, right.body), at
        assert copy.read_bytes() == whole, at
    # What was uploaded is damaged itself: nothing answers with it, and it is said.
    blob = server.data / "blobs" / made["digest"]
    flip(blob, len(whole) // 2)
    copy.unlink()
    server.expect_errors.append("assets_repair")
    with site.wire() as waiting:
        waiting.request("/index.html")
        assert eventually(lambda: "the stored assets are damaged" in server.log())
        again = server.api.post("/v1/projects/default/assets", content=tar({"index.html": page}),
                                headers={"Content-Type": "application/x-tar"})
        assert again.json()["digest"] == made["digest"] and blob.read_bytes() == whole
        assert waiting.answer().body == right.body
