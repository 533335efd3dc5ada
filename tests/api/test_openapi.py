"""The API's description of itself: valid, whole, and what the documentation lists."""

import re

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from contract import Contract, contract_of
from server import ROOT, binary


@pytest.fixture
def contract(server):
    return contract_of(server.url, binary())


def test_it_is_openapi(server):
    answer = httpx.get(f"{server.url}/v1/openapi.json", trust_env=False)  # without a token
    assert answer.headers["Content-Type"] == "application/json"
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_operations_say_all_of_themselves(contract):
    ids = [operation["operationId"] for _, _, operation in contract.operations()]
    assert len(ids) == len(set(ids)) >= 28
    for method, path, operation in contract.operations():
        what = f"{method} {path}"
        assert operation["summary"], what
        named = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
        assert named == re.findall(r"\{(\w+)\}", path), what
        good = [code for code in operation["responses"] if code < "300"]
        assert good and {"400", "422", "500", "503"} <= set(operation["responses"]), what
        assert ("401" in operation["responses"]) == bool(operation["security"]), what
        for code in good:
            assert code == "204" or operation["responses"][code]["content"], what


def test_every_object_is_closed(contract):
    def objects(part):
        if isinstance(part, dict):
            if part.get("type") == "object":
                yield part
            for value in part.values():
                yield from objects(value)
        elif isinstance(part, list):
            for value in part:
                yield from objects(value)

    schemas = contract.document["components"]["schemas"]
    for schema in objects(schemas):
        assert "additionalProperties" in schema, schema
    named = [name for name, schema in schemas.items() if schema.get("properties")]
    assert len(named) >= 25 and "Problem" in named


def test_errors_are_the_table(contract):
    rows = re.findall(r'^ERR\(\w+,\s+"(\w+)",\s+(\d+)', (ROOT / "src/tables/errors.def").read_text(), re.M)
    responses = contract.document["components"]["responses"]
    found = {(code, name.removeprefix("Problem")) for name, response in responses.items()
             for code in response["content"]["application/problem+json"]["schema"]["allOf"][1]
             ["properties"]["code"]["enum"]}
    assert found == set(rows)


def test_the_documentation_lists_every_operation(contract):
    """In a table row of docs/api.md: | GET POST | `…/functions` … | (… is /v1/projects/P)."""
    listed = set()
    for methods, paths in re.findall(r"^\| ([A-Z ]+) \| ((?:`[^`]+`,? ?)+)\|",
                                     (ROOT / "docs/api.md").read_text(), re.M):
        for path in re.findall(r"`([^`]+)`", paths):
            path = path.replace("…", "/v1/projects/P")
            segments = ["{}" if s.isupper() else s for s in path.split("/")]
            listed |= {(method, "/".join(segments)) for method in methods.split()}
    for method, path, _ in contract.operations():
        if path == "/whoami":  # the same as /v1/whoami
            continue
        assert (method, re.sub(r"\{\w+\}", "{}", path)) in listed, f"docs/api.md lacks {method} {path}"


def test_the_harness_sees_what_is_not_documented(contract):
    """The check that every other test relies on."""
    version = {"status": "ok"}
    contract.check("GET", "/healthz", 200, "application/json", lambda: version)
    for status, media_type, value in [(200, "application/json", {"status": "ok", "more": 1}),
                                      (200, "application/json", {"status": "bad"}),
                                      (200, "application/json", {}), (200, "text/plain", None),
                                      (202, "application/json", version)]:
        with pytest.raises(AssertionError):
            contract.check("GET", "/healthz", status, media_type, lambda value=value: value)
    problem = {"type": "urn:wasmcloud:error:not_found", "title": "t", "status": 404, "detail": "d",
               "code": "not_found"}
    contract.check("GET", "/v1/nothing", 404, "application/problem+json", lambda: problem)
    for change in ({"code": "conflict"}, {"status": 400}, {"request_id": "x"}, {"type": "no uri"}):
        with pytest.raises(AssertionError):
            contract.check("GET", "/v1/projects/p", 404, "application/problem+json",
                           lambda change=change: problem | change)
    with pytest.raises(AssertionError):
        contract.check("POST", "/v1/nothing", 200, "application/json", lambda: version)


def test_paths_are_matched_as_the_server_does(contract):
    assert isinstance(contract, Contract)
    run = contract.operation("GET", "/v1/projects/p/runs/1")
    assert run["operationId"] == "get_v1_projects_project_runs_id"
    assert contract.operation("HEAD", "/v1/projects/p")["operationId"] == "get_v1_projects_project"
    assert contract.operation("PUT", "/v1/projects/p") is None
    assert contract.operation("GET", "/v1/projects/p/") is None
