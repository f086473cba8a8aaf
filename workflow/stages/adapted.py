"""Small FFNs beside those of a pretrained model: its training text in its own tokens, and their training on it."""

from duo.data import tokenizer
from duo.model import extended, pretrained
from duo.model.device import Device
from duo.tables import files
from duo.tables.adapted import ADAPTED_HISTORY, ADAPTED_METRICS, ADAPTED_PACKED, SMALL_FFNS
from duo.tables.data import DOCUMENTS, packed
from duo.tables.pretrained import PRETRAINED
from duo.tables.training import CHECKPOINT
from duo.training import adapt, loop
from workflow import compute, stage, track
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    adapted, runtime = params.adapted[name], params.runtime
    theirs, tokens = pretrained.load(str(PRETRAINED.path(model=name)))
    corpora = {domain: DOCUMENTS.read(["id", "split", "text"], domain=domain) for domain in params.corpus}
    with stage.advice("adapted in params.yaml asks for it, and corpus says what text there is"):
        columns = tokenizer.repacked_as(tokens, corpora, adapted.sequence, params.seed)
    ADAPTED_PACKED.write(columns, model=name)
    data = {split: packed(split, ADAPTED_PACKED.instance(model=name)) for split in ("train", "validation")}

    checkpoint = CHECKPOINT.path(fingerprint=stage.fingerprint("adapted", name))
    model = extended.extend(theirs.to(runtime.device), adapted.small)
    with track.live(f"adapted@{name}") as live, stage.advice("adapted and pretrain in params.yaml hold its settings"):
        run = loop.TrainingRun(f"small FFNs of {name}", adapted.seed, checkpoint, live.log)
        history = adapt.train(model, adapted, params.pretrain, Device.of(runtime, params.pretrain.precision), data, run)
    with files.atomic(SMALL_FFNS.path(model=name)) as temporary:
        extended.save(model, temporary)
    ADAPTED_HISTORY.write(loop.history_columns(history, adapted.batch * adapted.sequence), model=name)
    ADAPTED_METRICS.write(adapt.summary(model, history), model=name)
    run.remove_checkpoints()


if __name__ == "__main__":
    stage.run(main)
