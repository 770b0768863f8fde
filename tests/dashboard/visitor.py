"""A test client that behaves like a browser: it logs in through the form and sends the CSRF token along."""

import re
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "correct horse battery"


class Visitor(FlaskClient):
    """Somebody before a browser."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        """Read every answer to its end, as browsers do, so that files on both sides are closed."""
        answer = super().open(*args, **{"buffered": True, **options})
        for one in (*answer.history, answer):
            one.request.environ["wsgi.input"].close()
        return answer

    def log_in(self, name: str, password: str = PASSWORD, **options: Any) -> TestResponse:
        return self.submit("/login", {"name": name, "password": password}, **options)

    def token(self) -> str:
        """The CSRF token of this session, as pages carry it."""
        page = self.get("/login", follow_redirects=True).text
        found = re.search(r'name="csrf-token" content="([^"]+)"', page)
        assert found
        return found[1]

    def submit(self, url: str, fields: dict[str, Any], **options: Any) -> TestResponse:
        """Send a form of a page."""
        return self.post(url, data={**fields, "csrf_token": self.token()}, **options)

    def call(self, method: str, url: str, **options: Any) -> TestResponse:
        """Call the API as the pages' scripts do."""
        return self.open(f"/api/v1{url}", method=method, headers={"X-CSRFToken": self.token()}, **options)

    def upload(self, collection_id: int, *files: tuple[Any, str]) -> TestResponse:
        """Upload files, each given as a binary stream and a name."""
        url = f"/api/v1/collections/{collection_id}/uploads"
        headers = {"X-CSRFToken": self.token()}
        return self.post(url, data={"files": list(files)}, headers=headers)
