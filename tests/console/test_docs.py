"""The page of the documentation: its Python runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware

PAGE = Path(__file__).parents[2] / "docs" / "console.md"


async def test_its_python_runs(monkeypatch, tmp_path, browser):
    """Top to bottom; each page lets in whom it should, and nobody else."""
    monkeypatch.setenv("CONSOLE_PASSWORD", "correct horse")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}

    names["app"] = Starlette()
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(ast.parse(block), str(PAGE), "exec"), names)
    names["app"].user_middleware.append(Middleware(SessionMiddleware, secret_key="s" * 32))
    async with browser(names["app"]) as client:
        assert (await client.get("/ringback/")).status_code == 401
        assert (await client.get("/ringback/", auth=("ops", "correct horse"))).status_code == 200
        login = await client.get("/session/")
        assert (login.status_code, login.headers["location"]) == (303, "/login")
        name = {"x-ms-client-principal-name": "ada@example.com"}
        assert (await client.get("/entra/", headers=name)).status_code == 401
        monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
        assert (await client.get("/entra/", headers=name)).status_code == 200
        assert (
            await client.get("/entra/", headers={"x-ms-client-principal-name": "eve@example.com"})
        ).status_code == 401
    await names["console"].close()
    # The page's middleware has opened the store of its app, which no lifespan closes here.
    for dispatcher in list(names["router"]._planners):
        await dispatcher.store.close()
