"""Losses of a few random routes on text that the backbone has not seen, true and as the first teacher expects them;
one domain.
"""

import pyarrow as pa
import pyarrow.compute as pc

from duo.model import transformer
from duo.model.device import Device
from duo.model.transformer import Duo
from duo.oracle.choosers import Choosers, by_mean
from duo.routers import supervision
from duo.routes import RouteSpace
from duo.tables.data import EVALUATION_SET, held_out
from duo.tables.learning import SUPERVISION
from duo.tables.oracle import CALIBRATION
from duo.tables.training import MODEL
from workflow import compute, stage
from workflow.params import load_params


def main(domain: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    name = params.route_losses.models[0]
    text, *judged = (
        table.filter(pc.equal(table["domain"], domain))
        for table in (held_out("routing"), *(EVALUATION_SET.read(split=split) for split in ("test", "validation")))
    )
    with stage.advice("learning.tokens in params.yaml asks for them"):
        sample = supervision.choose_text(
            text, params.tokens.sequence, params.learning.tokens[-1], judged, params.evaluation_set.shared, params.seed
        )
    duo, teacher = (
        transformer.load(MODEL.path(model=each), params.runtime.device)
        for each in (name, params.sampled_labels.teachers[0])
    )
    where = Device.of(params.runtime, params.route_losses.precision)
    chooser = _alone(CALIBRATION.read(model=name), params.sampled_labels.teachers[0], teacher, where)
    space = RouteSpace(params.model.layers)
    drawn = supervision.sample_routes(space, params.learning.budgets, params.learning.routes, sample, params.seed)
    routes = drawn.reshape(len(drawn), -1)
    found = supervision.run(duo, space, sample, routes, lambda ids: chooser.predict(ids, domain)[0], where)
    SUPERVISION.write(supervision.table(sample, routes, found), domain=domain)


def _alone(calibration: pa.Table, name: str, teacher: Duo, where: Device) -> Choosers:
    """The teacher as the only chooser, with its calibrated prediction."""
    rows = calibration.filter(pc.equal(calibration["chooser"], name))
    return Choosers(rows, {name: by_mean([teacher], where)})


if __name__ == "__main__":
    stage.run(main)
