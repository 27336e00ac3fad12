"""One endpoint of FastAPI, decorated. Run with: uvicorn --factory examples.fastapi_decorator:create_app"""

from fastapi import FastAPI, Request

from ringback import Outcome, OutcomeRouter, call_outcomes


def create_app(settle: float = 1.0) -> FastAPI:
    router = OutcomeRouter(settle=settle)

    @router.on_retryable
    async def call_again(outcome: Outcome) -> None:
        print(f"call again {outcome.retry_class}: {outcome.summary}")

    @router.on_terminal
    def close(outcome: Outcome) -> None:
        print(f"close: {outcome.summary}")

    @router.on_unrecognized
    async def tell_us(outcome: Outcome) -> None:
        print(f"not in the catalog: {outcome.code}/{outcome.subcode}")

    # A decorator hears of no start and no shutdown; the middleware does.
    app = FastAPI(lifespan=router.lifespan)

    @app.post("/api/callbacks/{order}")
    @router.callback
    async def callbacks(order: str, request: Request) -> dict[str, object]:
        return {"order": order, "causes": [outcome.cause for outcome in call_outcomes(request)]}

    return app
