"""The description of the API."""

from apiflask import APIFlask

from tests.dashboard.visitor import Visitor


def test_the_description_lists_the_api_and_no_page(client: Visitor) -> None:
    answer = client.get("/api/openapi.json")
    assert answer.status_code == 200
    paths = answer.json["paths"]
    assert "/api/v1/captions/{caption_id}" in paths
    assert all(path.startswith("/api/v1/") for path in paths)
    assert {"get", "post"} <= set(paths["/api/v1/jobs"])


def test_every_operation_says_in_words_what_it_does(client: Visitor) -> None:
    for path, operations in client.get("/api/openapi.json").json["paths"].items():
        for method, operation in operations.items():
            if method != "parameters":
                assert operation["summary"].rstrip("."), f"{method} {path}"
                assert operation["tags"], f"{method} {path}"


def test_no_page_of_documentation_loads_scripts_from_elsewhere(app: APIFlask) -> None:
    assert [rule.rule for rule in app.url_map.iter_rules() if "docs" in rule.rule] == []
