"""Assets: a folder that a version carries, read by its program as files below "/"."""

import io
import shutil
import tarfile

import pytest

from server import Function, Server, eventually

P = "/v1/projects/default"
FILES = {"hello.txt": b"hello\n", "deep/er/page.html": b"<p>deep</p>\n", "empty": b"", "big.bin": bytes(range(256)) * 4096}


def tar(entries, form=tarfile.PAX_FORMAT):
    """An archive of name -> bytes; a TarInfo as a value goes in as it is."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in entries.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def upload(server, archive, expect=201, project="default"):
    answer = server.api.post(f"/v1/projects/{project}/assets", content=archive,
                             headers={"Content-Type": "application/x-tar"})
    assert answer.status_code == expect, answer.text
    return answer.json()


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "public" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "public"


def test_equal_folders_have_one_digest(server):
    one = upload(server, tar(FILES))
    assert one["files"] == len(FILES) and one["size"] > len(FILES["big.bin"])
    other = upload(server, tar(dict(reversed(FILES.items())), form=tarfile.GNU_FORMAT))
    assert other["digest"] == one["digest"]
    assert (server.data / "blobs" / one["digest"]).stat().st_size == one["size"]
    assert upload(server, tar(FILES | {"one-more": b""}))["digest"] != one["digest"]


def test_a_program_reads_them_as_files(server, guests, cli, folder):
    cli("deploy", guests / "wasi-http.wasm", "--name", "pages", "--assets", folder, "--response", "text")
    pages = Function(server, "pages", None)
    assert pages.get("/?/hello.txt").body.endswith(b"hello\n")
    assert pages.get("/?/deep/er/page.html").body.endswith(b"<p>deep</p>\n")
    assert pages.get("/?/big.bin").body.endswith(FILES["big.bin"])
    assert "fopen" in pages.get("/?/no/such").text
    # A later deploy that does not name them keeps them; null takes them away.
    cli("deploy", guests / "wasi-http.wasm", "--name", "pages", "--limit", "cpu=2s")
    assert pages.get("/?/hello.txt").body.endswith(b"hello\n")
    shown = cli.on_terminal("get", "pages").out
    assert "assets    " in shown and "cpu=2s" in shown
    taken = server.api.post(f"{P}/functions/pages/versions", json={"assets": None})
    assert taken.status_code == 201 and taken.json()["version"]["assets"] is None
    assert "fopen" in pages.get("/?/hello.txt").text


HOSTILE = {
    "climbs": {"../etc/passwd": b"x"},
    "climbs-inside": {"a/../../b": b"x"},
    "absolute-link": {"l": special("l", tarfile.SYMTYPE, "/etc/passwd")},
    "hard-link": {"l": special("l", tarfile.LNKTYPE, "hello.txt")},
    "device": {"d": special("d", tarfile.CHRTYPE)},
    "fifo": {"f": special("f", tarfile.FIFOTYPE)},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused(server, case):
    before = set(p.name for p in (server.data / "blobs").iterdir())
    refused = upload(server, tar({"good.txt": b"x"} | HOSTILE[case]), expect=422)
    assert refused["code"] == "invalid" and len(refused["detail"]) > 10
    assert set(p.name for p in (server.data / "blobs").iterdir()) == before


@pytest.mark.parametrize("archive", [b"", b"no archive at all" * 100, tar({"a": b"x" * 2000})[:1024],
                                     b"\x1f\x8b\x08\x00" + bytes(600)], ids=["empty", "text", "short", "gzip"])
def test_what_is_no_archive_is_refused(server, archive):
    answer = server.api.post(f"{P}/assets", content=archive, headers={"Content-Type": "application/x-tar"})
    assert 400 <= answer.status_code < 500, answer.text


def test_too_large_and_too_many(tmp_path, guests):
    server = Server(tmp_path, plan="default", limits="assets=100KiB,asset-files=10,stored=1MiB")
    try:
        refused = upload(server, tar({"large": bytes(101 << 10)}), expect=413)
        assert "assets" in refused["detail"]
        refused = upload(server, tar({f"{n}": b"" for n in range(11)}), expect=413)
        assert "asset-files" in refused["detail"]
        assert server.api.post(f"{P}/assets", content=bytes(4 << 20),
                               headers={"Content-Type": "application/x-tar"}).status_code == 413
        # They count to what a project may store, and what is refused leaves nothing behind.
        stored = 0
        for n in range(20):
            answer = server.api.post(f"{P}/assets", content=tar({"a": bytes([n]) * (90 << 10)}),
                                     headers={"Content-Type": "application/x-tar"})
            if answer.status_code != 201:
                break
            stored += 1
        assert answer.status_code == 409 and answer.json()["code"] == "quota", answer.text
        assert 5 <= stored < 12
        assert len(list((server.data / "blobs").iterdir())) == stored
    finally:
        server.stop()


def test_only_a_projects_own_assets(server, guests):
    digest = upload(server, tar({"secret": b"of another"}))["digest"]
    assert server.api.post("/v1/projects", json={"name": "assets-other"}).status_code == 201
    module = server.api.post("/v1/projects/assets-other/modules", content=(guests / "wasi-http.wasm").read_bytes(),
                             headers={"Content-Type": "application/wasm"}).json()["digest"]
    for other in [digest, "0" * 64, "xyz"]:
        answer = server.api.post("/v1/projects/assets-other/functions/thief/versions",
                                 json={"digest": module, "assets": other})
        assert answer.status_code == 422 and "assets" in answer.json()["fields"], answer.text


def test_media_types_and_scopes(server):
    answer = server.api.post(f"{P}/assets", content=tar(FILES), headers={"Content-Type": "application/zip"})
    assert answer.status_code == 415
    assert server.client().post(f"{P}/assets", content=tar(FILES)).status_code == 401


def test_copies_are_made_again(tmp_path, guests):
    """The folder images/ is made of the rest: a start without it puts every live version's back."""
    server = Server(tmp_path)
    assets = upload(server, tar(FILES))["digest"]
    server.deploy("pages", guests / "wasi-http.wasm", assets=assets, response="text")
    server.stop()
    shutil.rmtree(server.data / "images")
    server = Server(tmp_path)
    try:
        def answers():
            return Function(server, "pages", None).get("/?/hello.txt").body.endswith(b"hello\n")
        assert eventually(answers)
        # While it runs: an exec that finds none asks for it, and a damaged one is replaced.
        copy = next((server.data / "images").glob(f"*/*/assets/{assets}"))
        copy.unlink()
        server.kill_role("exec")
        assert eventually(answers)
        assert eventually(copy.exists)
    finally:
        server.stop()
