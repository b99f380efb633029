"""The running console as a client sees it: requests with a key that is never shown."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from containers_app.management.smoke.report import CannotTell

ADDRESS = "/api/docker/containers"
_CONNECT_SECONDS, _ANSWER_SECONDS, _POLL_SECONDS = 5.0, 360.0, 0.1
_SHOWN_CHARACTERS = 2000


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer: status, headers and JSON body."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]


class Service:
    """One console at `url`; `show` gets each request and answer as text, with the key hidden."""

    def __init__(self, url: str, api_key: str, show: Callable[[str], None]) -> None:
        self._url = url.rstrip("/")
        self._key = api_key
        self._show = show
        self._session = requests.Session()
        # A proxy of the environment is no way to one's own machine.
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {api_key}"

    def act(self, action: str, container: str, *, prefer: str | None = None) -> Reply:
        """The documented request. Raises CannotTell."""
        headers = {"Prefer": prefer} if prefer else {}
        return self.request("POST", ADDRESS, body={"action": action, "containerId": container}, headers=headers)

    def follow(self, address: str, on_progress: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """The operation at this address, when it is over. Raises CannotTell when it does not end."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            reply = self.request("GET", address, shown=False)
            on_progress(reply.body)
            if reply.status != 200 or reply.body.get("state") not in ("queued", "running"):
                self._show_answer(reply)
                return reply.body
            if time.monotonic() > deadline:
                raise CannotTell(f"the operation {address} does not end")
            time.sleep(_POLL_SECONDS)

    def request(
        self,
        method: str,
        address: str,
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        shown: bool = True,
    ) -> Reply:
        """One request. Raises CannotTell when no JSON object comes back."""
        if shown:
            self._show(self._request_text(method, address, body, headers or {}))
        try:
            answer = self._session.request(
                method,
                self._url + address,
                json=body,
                headers=headers,
                timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
                allow_redirects=False,
            )
            content = answer.json()
        except requests.RequestException as error:
            raise CannotTell(f"{self._url} does not answer as a console does ({type(error).__name__})") from error
        if not isinstance(content, dict):
            raise CannotTell(f"{self._url}{address} answered {answer.status_code} without a JSON object")
        reply = Reply(status=answer.status_code, headers=answer.headers, body=content)
        if shown:
            self._show_answer(reply)
        return reply

    def _request_text(self, method: str, address: str, body: object, headers: Mapping[str, str]) -> str:
        named = {"Authorization": "Bearer ***", **headers}
        head = "".join(f"\n    {name}: {value}" for name, value in named.items())
        return f"> {method} {self._url}{address}{head}" + (f"\n    {json.dumps(body)}" if body is not None else "")

    def _show_answer(self, reply: Reply) -> None:
        text = json.dumps(reply.body).replace(self._key, "***")
        self._show(f"< {reply.status}\n    {text[:_SHOWN_CHARACTERS]}")
