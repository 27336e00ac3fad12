"""The page of the documentation: its Python runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from starlette.middleware.sessions import SessionMiddleware

PAGE = Path(__file__).parents[2] / "docs" / "console.md"


async def test_its_python_runs(monkeypatch, tmp_path, browser):
    """Each block from nothing; each page lets in whom it should, and nobody else."""
    monkeypatch.setenv("CONSOLE_PASSWORD", "correct horse")
    monkeypatch.chdir(tmp_path)
    ran: list[dict[str, Any]] = []
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        ran.append({})
        exec(compile(ast.parse(block), str(PAGE), "exec"), ran[-1])
    mounted, alone, session, entra = ran
    async with browser(mounted["app"]) as client:
        assert (await client.get("/ringback/")).status_code == 401
        assert (await client.get("/ringback/", auth=("ops", "correct horse"))).status_code == 200
    session["app"].add_middleware(SessionMiddleware, secret_key="s" * 32)
    async with browser(session["app"]) as client:
        login = await client.get("/ringback/")
        assert (login.status_code, login.headers["location"]) == (303, "/login")
    async with browser(entra["app"]) as client:
        name = {"x-ms-client-principal-name": "ada@example.com"}
        assert (await client.get("/ringback/", headers=name)).status_code == 401
        monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
        assert (await client.get("/ringback/", headers=name)).status_code == 200
        stranger = {"x-ms-client-principal-name": "eve@example.com"}
        assert (await client.get("/ringback/", headers=stranger)).status_code == 401
    await alone["console"].close()
    # The page's middleware has opened the store of its app, which no lifespan closes here.
    for dispatcher in list(mounted["router"]._dispatchers):
        await dispatcher.store.close()
