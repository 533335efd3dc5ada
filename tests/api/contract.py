"""What the API says of itself in /v1/openapi.json, and the same held against every answer.

Every client of a Server (server.py) has `Contract.hook` on it: an answer whose status the operation
does not document, or whose JSON is not of the documented shape, fails the test that saw it.
"""

import re

import httpx
import jsonschema_rs

METHODS = ("get", "put", "post", "delete", "patch")


class Contract:
    """The document of one server, and validators made of its parts when they are needed."""

    def __init__(self, document):
        self.document = document
        self.validators = {}
        self.paths = []
        # Literal segments first: …/runs/{id} before …/{a}/{b}.
        for template in sorted(document["paths"], key=lambda t: (t.count("{"), t)):
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
            self.paths.append((re.compile(pattern), template))

    def operations(self):
        """(method, template, operation) of everything that the API can do."""
        for template, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield method.upper(), template, item[method]

    @staticmethod
    def fill(template, other="1", **names):
        """A path of the template: the names given, `other` for the rest."""
        return re.sub(r"\{(\w+)\}", lambda m: names.get(m[1], other), template)

    def operation(self, method, path):
        """The operation that answers, None if there is none."""
        method = "get" if method == "HEAD" else method.lower()
        for pattern, template in self.paths:
            if pattern.fullmatch(path) and method in self.document["paths"][template]:
                return self.document["paths"][template][method]
        return None

    def resolve(self, part):
        """`part`, or what it refers to."""
        if "$ref" not in part:
            return part
        found = self.document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return found

    def validator(self, schema):
        key = repr(schema)
        if key not in self.validators:
            whole = {"$schema": "https://json-schema.org/draft/2020-12/schema",
                     "components": self.document["components"], "allOf": [schema]}
            self.validators[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        return self.validators[key]

    def judge(self, schema, value, what):
        errors = [f"{'/'.join(map(str, e.instance_path)) or 'whole'}: {e.message}"
                  for e in self.validator(schema).iter_errors(value)]
        assert not errors, f"{what} is not what /v1/openapi.json says: {errors} in {str(value)[:2000]}"

    def check(self, method, path, status, media_type, read):
        """Asserts that an answer is a documented one; read() gives its JSON."""
        what, operation = f"{status} of {method} {path}", self.operation(method, path)
        if operation is None:
            assert status >= 400, f"{what}: nothing is documented there"
            response = self.document["components"]["responses"][f"Problem{status}"]
        else:
            assert str(status) in operation["responses"], f"{what}: not documented"
            response = self.resolve(operation["responses"][str(status)])
        if method == "HEAD" or status == 204:
            return
        content = response.get("content", {})
        if media_type not in content:
            assert "*/*" in content, f"{what}: {media_type} is not documented"
        elif media_type.endswith("json") and "schema" in content[media_type]:
            self.judge(content[media_type]["schema"], read(), what)

    def hook(self, response):
        """For httpx: called with each answer before the test sees it."""
        def read():
            response.read()
            return response.json()

        media_type = response.headers.get("Content-Type", "").partition(";")[0]
        request = response.request
        self.check(request.method, request.url.path, response.status_code, media_type, read)


contracts = {}


def contract_of(url, program):
    """The contract of the server at `url`; asked for once for each program."""
    if program not in contracts:
        answer = httpx.get(f"{url}/v1/openapi.json", trust_env=False, timeout=60)
        assert answer.status_code == 200, answer.text
        contracts[program] = Contract(answer.json())
    return contracts[program]
