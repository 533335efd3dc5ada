"""GET /metrics in Prometheus' text format, as its own client library reads it; and what /readyz says."""

import os
import subprocess
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server import eventually
from test_kill import fill


def families(server, client=None):
    answer = (client or server.api).get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.name not in found
        found[family.name] = family
    return found


def value(found, name, **labels):
    return sum(s.value for s in found[name].samples if labels.items() <= s.labels.items())


def test_what_is_counted(serve, guests):
    server = serve(edges=1)
    hello = server.deploy("hello", guests / "cwa-hello.wasm")
    trap = server.deploy("trap", guests / "cwa-trap.wasm")
    log = server.deploy("log", guests / "cwa-log.wasm")
    before = families(server)
    for _ in range(20):
        assert hello.get().status == 200
    for _ in range(3):
        assert trap.get().status == 502
    log.get()
    after = families(server)

    def grown(name, **labels):
        return value(after, name, **labels) - value(before, name, **labels)

    assert grown("wasmcloud_requests", **{"class": "2xx"}) == 21
    assert grown("wasmcloud_requests", **{"class": "5xx"}) == 3
    assert grown("wasmcloud_runs") == 24 and grown("wasmcloud_runs_failed") == 3
    assert grown("wasmcloud_failures", cause="trap") == 3
    assert grown("wasmcloud_log_lines") >= 1 and grown("wasmcloud_log_bytes") > 0
    assert 0 < grown("wasmcloud_cpu_seconds") < 10
    assert grown("wasmcloud_output_bytes") > 20
    assert grown("wasmcloud_api_requests", status="200") >= 1
    assert value(after, "wasmcloud_compiles", result="done") >= 3
    assert value(after, "wasmcloud_exec_processes") >= 1 and value(after, "wasmcloud_edges_ready") == 1
    assert value(after, "wasmcloud_database_writable") == value(after, "wasmcloud_routes_current") == 1
    assert value(after, "wasmcloud_database_bytes") > 100_000 < value(after, "wasmcloud_disk_free_bytes")
    assert {s.labels["spool"] for s in after["wasmcloud_spool_waiting_bytes"].samples} == {"edge-0", "egress"}
    assert value(after, "wasmcloud_spool_dropped") == 0
    assert abs(value(after, "process_start_time_seconds") - time.time()) < 300
    assert after["wasmcloud_build_info"].samples[0].labels["version"]
    # the same as the usage that the API shows, and no row per function
    counters = [server.api_json(f.path)["counters"] for f in (hello, trap, log)]
    assert value(after, "wasmcloud_runs") == sum(c["runs"] for c in counters)
    labels = {name for f in after.values() for s in f.samples for name in s.labels}
    assert labels <= {"class", "cause", "status", "spool", "type", "result", "version"}
    for name, family in after.items():
        assert family.documentation and family.type in ("counter", "gauge"), name


def test_who_may(server):
    assert server.client().get("/metrics").status_code == 401
    made = server.api.post("/v1/tokens", json={"name": "scrape", "scopes": ["read"], "expires_in": 3600}).json()
    assert families(server, server.client(made["token"]))
    made = server.api.post("/v1/tokens", json={"name": "none", "scopes": ["logs"], "expires_in": 3600}).json()
    assert server.client(made["token"]).get("/metrics").status_code == 403


def test_ready_names_what_is_not(serve, guests, tmp_path):
    if os.getuid():
        pytest.skip("needs root: it mounts a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk], check=True)
    try:
        server = serve(disk, expect_errors=["spool_drain", "store_commit", "routes_publish"], spool_size=1 << 20)
        client = server.client()
        assert client.get("/readyz").json() == {"status": "ok"}
        fill(disk / "filler")
        refused = server.api.post("/v1/projects/default/functions", json={"name": "x" * 30})
        for i in range(40):
            if refused.status_code == 507:
                break
            refused = server.api.post("/v1/projects/default/functions", json={"name": f"fill-{i}"})
        assert refused.status_code == 507, refused.text
        answer = client.get("/readyz")
        assert answer.status_code == 503 and answer.headers["content-type"] == "application/problem+json"
        assert "database" in answer.json()["detail"]
        assert client.get("/healthz").status_code == 200
        assert value(families(server), "wasmcloud_database_writable") == 0
        (disk / "filler").unlink()
        assert eventually(lambda: client.get("/readyz").status_code == 200)
        server.stop()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
