"""A witness and a webhook of our own: an HTTP server that checks what it is shown, as c2sp.org/tlog-witness has it."""

from __future__ import annotations

import struct
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from containers_app.audit.merkle import EMPTY_ROOT
from containers_app.audit.notes import COSIGNATURE, Checkpoint, VerifierKey, cosigned_text, new_key, open_note
from containers_app.audit.proofs import is_consistent


class Witness:
    """It trusts `log_vkeys`. `answer` replaces the next answers; `asked` has each request: path, headers, body."""

    def __init__(self) -> None:
        self.key = new_key("witness.example/w1")
        self.verifier = VerifierKey(self.key.name, COSIGNATURE, self.key.verifier.public)
        self.log_vkeys: list[str] = []
        self.seen = Checkpoint("", 0, EMPTY_ROOT)
        self.answer: tuple[int, str, str] | None = None
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""

    def respond(self, body: str) -> tuple[int, str, str]:
        """Status, content type and text for one add-checkpoint."""
        if self.answer is not None:
            return self.answer
        head, _, note = body.partition("\n\n")
        old, *proof = head.split("\n")
        checkpoint = open_note(note, self.log_vkeys)
        if int(old.removeprefix("old ")) != self.seen.size:
            return 409, "text/x.tlog.size", f"{self.seen.size}\n"
        hashes = [b64decode(one) for one in proof]
        grew = self.seen.size == 0 or is_consistent(
            self.seen.size, checkpoint.size, first_root=self.seen.root, second_root=checkpoint.root, proof=hashes
        )
        if not grew:
            return 422, "text/plain", "the proof does not hold"
        self.seen = checkpoint
        return 200, "text/plain", self.cosigned(checkpoint)

    def cosigned(self, checkpoint: Checkpoint) -> str:
        """The signature line over a checkpoint."""
        seconds = struct.pack(">Q", int(time.time()))
        signature = self.key.private.sign(cosigned_text(checkpoint.text(), seconds))
        return f"— {self.verifier.name} {b64encode(self.verifier.id + seconds + signature).decode()}\n"


@contextmanager
def running() -> Iterator[Witness]:
    """A witness that listens on this machine."""
    witness = Witness()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            witness.asked.append((self.path, dict(self.headers), body))
            status, kind, text = witness.respond(body.decode())
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    witness.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield witness
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
