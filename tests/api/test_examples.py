"""The example that needs a server to talk to. The others are what ./demo deploys and asks."""

import pytest

from server import ROOT
from upstream import Upstream


@pytest.fixture(scope="module")
def weather():
    """A server that knows the weather."""
    up = Upstream()

    def forecast(sock, file, request):
        up.body(file, request)
        body = b'{"current_units":{"temperature_2m":"C"},"current":{"time":"now","temperature_2m":-3.5}}'
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    up.paths["/v1/forecast"] = forecast
    yield up
    up.stop()


def test_weather(serve, guests, weather):
    server = serve(egress_addresses="127.0.0.0/8")
    near = {"env": {"WEATHER_SERVER": weather.url().replace("://", "/").rstrip("/")},
            "policy": {"allow": [weather.url("/v1/**")], "methods": ["GET"]}}
    function = server.deploy("weather", guests / "weather.wasm", **near)
    answer = function.get("/?latitude=60.17&longitude=24.94")
    assert (answer.status, answer.text) == (200, "-3.5 degrees at 60.17, 24.94\n")
    assert weather.requests[-1].target == "/v1/forecast?latitude=60.17&longitude=24.94&current=temperature_2m"
    weather.paths["/v1/forecast"] = weather.hello
    assert function.get().status == 502


def test_its_policy_is_one(cli):
    url = "https://api.open-meteo.com/v1/forecast?latitude=1"
    assert "allowed" in cli("policy", "test", ROOT / "examples/weather/policy.yaml", url).out
    other = cli("policy", "test", ROOT / "examples/weather/policy.yaml", "https://example.com/", status=4)
    assert "refused" in other.out
