"""What was uploaded comes back byte for byte, and only to members of its project."""

import hashlib

import httpx
import pytest

from test_assets import FILES, tar, upload

P = "/v1/projects/default"


@pytest.fixture
def module(server, guests):
    wasm = (guests / "go-cgi.wasm").read_bytes()
    answer = server.api.post(f"{P}/modules", content=wasm, headers={"Content-Type": "application/wasm"})
    assert answer.status_code == 201, answer.text
    return answer.json()["digest"], wasm


def test_a_module_and_a_bundle(server, module):
    digest, wasm = module
    answer = server.api.get(f"{P}/modules/{digest}")
    assert answer.status_code == 200 and answer.content == wasm
    assert answer.headers["content-type"] == "application/wasm"
    assert int(answer.headers["content-length"]) == len(wasm)
    assets = upload(server, tar(FILES))
    answer = server.api.get(f"{P}/assets/{assets['digest']}")
    assert answer.status_code == 200 and len(answer.content) == assets["size"]
    assert hashlib.sha256(answer.content).hexdigest() == assets["digest"]


def test_of_another_project_or_none(server, module):
    digest, _ = module
    server.api.post("/v1/projects", json={"name": "download-other"})
    for path in (f"/v1/projects/download-other/modules/{digest}", f"{P}/assets/{digest}",
                 f"{P}/modules/{'0' * 64}", f"{P}/modules/nonsense"):
        assert server.api.get(path).status_code == 404, path


def test_a_damaged_blob_never_arrives_whole(serve, guests):
    server = serve(expect_errors=["blob_damaged"])
    wasm = (guests / "go-cgi.wasm").read_bytes()
    fields = {"Content-Type": "application/wasm"}
    digest = server.api.post(f"{P}/modules", content=wasm, headers=fields).json()["digest"]
    path = server.data / "blobs" / digest
    path.chmod(0o600)
    path.write_bytes(wasm[:1000] + b"\0" + wasm[1001:])
    with pytest.raises(httpx.RemoteProtocolError):
        server.api.get(f"{P}/modules/{digest}")
    assert server.api.get("/v1/whoami").status_code == 200
