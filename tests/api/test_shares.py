"""One user's share of the API: who asks much at once, or reads slowly, doesn't take it from the others."""

from contextlib import ExitStack

from server import eventually
from wire import head

AT_ONCE = 128


def follow(server, stack):
    wire = stack.enter_context(server.platform_wire())
    wire.send(head("/v1/projects/default/logs?follow=true", fields={"Authorization": f"Bearer {server.token}"},
                   host=wire.host))
    return wire.head().status


def test_requests_at_once(server):
    with ExitStack() as stack:
        statuses = [follow(server, stack) for _ in range(AT_ONCE + 1)]
        assert statuses == [200] * AT_ONCE + [429]
        refused = server.api.get("/v1/projects")
        assert refused.status_code == 429 and "requests open" in refused.json()["detail"]
        assert int(refused.headers["Retry-After"]) > 0
        assert server.api.get("/healthz", headers={"Authorization": ""}).status_code == 200
    assert eventually(lambda: server.api.get("/v1/projects").status_code == 200)
