"""A Hugging Face hub on this machine with one dataset: enough of its protocol for the real client to read it."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "a" * 40
TAG = "v1"


class FakeHub:
    """`files` are the dataset's, by name; everything else does not exist."""

    def __init__(self, dataset: str, folder: Path) -> None:
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        info = {"id": dataset, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        tree = [{"type": "file", "path": name, "size": len(data), "oid": tag(data)} for name, data in files.items()]
        api, resolve = f"/api/datasets/{dataset}", f"/datasets/{dataset}/resolve/"
        pages = {api: info} | {f"{api}/revision/{revision}": info for revision in ("main", TAG, COMMIT)}
        pages |= {f"{api}/tree/{COMMIT}": tree}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.partition("?")[0]
                name = path.rpartition("/")[2]
                if path in pages:
                    self.answer(200, json.dumps(pages[path]).encode())
                elif path.startswith(resolve) and name in files:
                    self.answer(200, files[name], {"ETag": f'"{tag(files[name])}"', "X-Repo-Commit": COMMIT})
                elif path.startswith((resolve, f"{api}/tree/")):
                    self.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
                else:
                    known = path.startswith(f"{api}/revision/")
                    self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"})

            do_HEAD = do_GET

            def answer(self, status, data, headers=None):
                self.send_response(status)
                for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def tag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
