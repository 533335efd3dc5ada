"""One user's share of the API: who asks much at once, or reads slowly, doesn't take it from the others."""

import threading
from contextlib import ExitStack

from server import eventually
from wire import head

AT_ONCE = 20


def follow(server, stack):
    wire = stack.enter_context(server.platform_wire())
    wire.send(head("/v1/projects/default/logs?follow=true", fields={"Authorization": f"Bearer {server.token}"},
                   host=wire.host))
    return wire.head().status


def test_requests_at_once(serve):
    server = serve(limits=f"api-open={AT_ONCE}")
    with ExitStack() as stack:
        statuses = [follow(server, stack) for _ in range(AT_ONCE + 1)]
        assert statuses == [200] * AT_ONCE + [429]
        refused = server.api.get("/v1/projects")
        assert refused.status_code == 429 and "api-open" in refused.json()["detail"]
        assert int(refused.headers["Retry-After"]) > 0
        assert server.api.get("/healthz", headers={"Authorization": ""}).status_code == 200
    assert eventually(lambda: server.api.get("/v1/projects").status_code == 200)


def test_answers_that_nobody_reads(serve, guests):
    """Downloads of large captures lie in memory until they are read."""
    server = serve(limits="api-unread=20MiB")
    function = server.deploy("shares", guests / "cwa-echo.wasm", capture="all", limits={"capture": "16MiB"})
    with function.wire() as wire:
        body = bytes(9 << 20)
        sender = threading.Thread(target=wire.send, args=(head("/", "POST", body=body, host=wire.host) + body,))
        sender.start()
        run = wire.answer().run
        sender.join()
    eventually(lambda: function.run(run)["captured"])
    path = f"/v1/projects/default/runs/{run}/capture"
    with ExitStack() as stack:
        statuses = []
        while len(statuses) < 10 and 429 not in statuses:
            wire = stack.enter_context(server.platform_wire())
            wire.send(head(path, fields={"Authorization": f"Bearer {server.token}"}, host=wire.host))
            statuses.append(wire.head().status)
        assert statuses == [200] * 3 + [429]
    assert eventually(lambda: server.api.get("/v1/projects").status_code == 200)
