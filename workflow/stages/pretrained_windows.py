"""The places of the evaluation set in the tokens of a pretrained model; one model."""

from duo.data import own_windows, spans, tokenizer
from duo.errors import InputError
from duo.model import decoders, pretrained
from duo.tables.data import DOCUMENTS, EVALUATION_SET, OWN_WINDOWS
from duo.tables.pretrained import PRETRAINED, WINDOW_METRICS
from workflow import instance, stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    domains = instance.domains(DOCUMENTS.template)
    texts = spans.texts({domain: DOCUMENTS.read(["id", "text"], domain=domain) for domain in domains})
    model, theirs = pretrained.load(str(PRETRAINED.path(model=name)), f"pretrained.{name}")
    vocabulary, ours, asked = model.get_output_embeddings().weight.shape[0], tokenizer.load(), params.pretrained_windows
    most = decoders.routable(model).positions - pretrained.CONTEXT
    if asked.tokens > most:
        raise InputError(
            f"params.yaml: pretrained_windows.tokens: {asked.tokens} is above {most}, what {name} can score"
        )
    counts = {}
    for split, documents in {"test": asked.documents, "validation": asked.validation_documents}.items():
        with stage.advice("pretrained_windows in params.yaml asks for them"):
            table = own_windows.choose(
                EVALUATION_SET.read(split=split), texts, ours, theirs, vocabulary, documents, asked.tokens
            )
        OWN_WINDOWS.write(table, model=name, split=split)
        counts[split] = own_windows.counts(table)
    WINDOW_METRICS.write(counts, model=name)


if __name__ == "__main__":
    stage.run(main)
