"""What would Azure do? A local Call Automation service: the real client calls it, and it calls your endpoint back."""

from ringback.simulator.arrivals import HandshakeFailed
from ringback.simulator.built_in_scenarios import SCENARIOS
from ringback.simulator.calls import Arrival, Call, Incoming
from ringback.simulator.courier import Callback
from ringback.simulator.local import ACCESS_KEY, Simulator, StillBusy
from ringback.simulator.scenarios import Answer, Scenario, Step

__all__ = [
    "ACCESS_KEY",
    "SCENARIOS",
    "Answer",
    "Arrival",
    "Call",
    "Callback",
    "HandshakeFailed",
    "Incoming",
    "Scenario",
    "Simulator",
    "Step",
    "StillBusy",
]
