"""How does a web server bring a request? This room imports Starlette and no other framework."""
