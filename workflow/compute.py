"""The device that a stage computes on."""

from duo.model import device
from duo.settings import Runtime
from workflow import stage


def prepare(runtime: Runtime) -> None:
    """Set torch's threads and determinism as params ask. InputError where the device is not there."""
    with stage.advice("runtime.device in params.yaml asks for it"):
        device.prepare(runtime.device, runtime.threads)
