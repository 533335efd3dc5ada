"""Lists that are given again while nothing has changed: every change shows at once, for everybody."""

P = "/v1/projects/default/functions"


def test_each_change_shows_at_once(server, guests):
    assert server.api.post("/v1/projects", json={"name": "kept"}).status_code == 201
    path = "/v1/projects/kept/functions"

    def names(**query):
        first, again = server.api.get(path, params=query), server.api.get(path, params=query)
        assert first.status_code == again.status_code == 200
        assert first.json() == again.json()
        return [f["name"] for f in first.json()["items"]]

    assert names() == []
    for i in range(3):
        assert server.api.post(path, json={"name": f"kept-{i}"}).status_code == 201
        assert names() == [f"kept-{n}" for n in range(i + 1)]
    assert names(limit=2) == ["kept-0", "kept-1"]
    assert names(limit=2, cursor="kept-1") == ["kept-2"]
    assert server.api.delete(f"{path}/kept-1").status_code == 204
    assert names() == ["kept-0", "kept-2"] and names(deleted="true") == ["kept-1"]
    assert server.api.post(f"{path}/kept-1/undelete").status_code == 200
    assert names(deleted="true") == []
    server.deploy("kept-0", guests / "cwa-bare.wasm", project="kept")
    assert [f["state"] for f in server.api_json(path)["items"]] == ["live", "no_version", "no_version"]


def test_counters_in_lists_are_exact(server, guests):
    bare = server.deploy("kept-counted", guests / "cwa-bare.wasm")
    for runs in range(1, 6):
        assert bare.get().status == 200
        found = {f["name"]: f for f in server.api_list(P)}
        assert found["kept-counted"]["counters"]["runs"] == runs


def test_nobody_is_given_what_another_may_see(server):
    project = server.api.post("/v1/projects", json={"name": "kept-secret"})
    assert project.status_code == 201
    path = "/v1/projects/kept-secret/functions"
    assert server.api.get(path).status_code == 200
    bound = server.api.post("/v1/tokens", json={"name": "bound", "scopes": ["read"], "project": "default"})
    assert bound.status_code == 201, bound.text
    with server.client(bound.json()["token"]) as other:
        assert other.get(path).status_code == 404
        assert other.get(P).status_code == 200
        # Revoked is revoked, however often it was found good before.
        assert server.api.delete(f"/v1/tokens/{bound.json()['id']}").status_code == 204
        assert other.get(P).status_code == 401
