"""One vocabulary of the trend over scale: training tokens, and the spans of text that all vocabularies share."""

from duo.data import spans, tokenizer
from duo.tables.data import DOCUMENTS, EVALUATION_SET
from duo.tables.trend import SPAN_METRICS, SPANS, TREND_PACKED
from workflow import instance, stage
from workflow.params import load_params


def main(vocabulary: str) -> None:
    params = load_params()
    domains = instance.domains(DOCUMENTS.template)
    corpora = {domain: DOCUMENTS.read(["id", "split", "text"], domain=domain) for domain in domains}
    with stage.advice("trend in params.yaml asks for it, and corpus says what text there is"):
        trained, finest = (
            tokenizer.of_training(corpora, size) for size in (int(vocabulary), params.trend.vocabularies[0])
        )
        chosen = spans.choose(
            spans.first(EVALUATION_SET.read(split="test"), params.trend.windows),
            spans.texts(corpora),
            tokenizer.load(),
            finest,
            params.tokens.sequence,
        )
        columns = spans.encode(chosen, spans.texts(corpora), trained)
        packed = tokenizer.repacked(trained, corpora, params.tokens.sequence, params.seed)
    TREND_PACKED.write(packed, vocabulary=vocabulary)
    SPANS.write(columns, vocabulary=vocabulary)
    SPAN_METRICS.write(spans.metrics(columns), vocabulary=vocabulary)


if __name__ == "__main__":
    stage.run(main)
