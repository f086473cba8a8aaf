"""Train the tokenizer on the training split, or take a pretrained model's, and turn every domain's documents into
tokens.
"""

from duo.data import corpus, needs, tokenizer
from duo.tables.data import DOCUMENTS
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    corpora = {domain: DOCUMENTS.read(["id", "cluster", "split", "text"], domain=domain) for domain in params.corpus}
    settings, size = params.tokens, params.evaluation_set
    windows = {
        "test": (size.documents, "evaluation_set.documents"),
        "routing": (params.policies.train_documents, "policies.train_documents"),
        "validation": (params.policies.validation_documents, "policies.validation_documents"),
    }
    asked = needs.judging(size, windows, params.ablation, params.learning.tokens[-1])
    most = {name: corpus.most_left_out(domain) for name, domain in params.corpus.items()}
    with stage.advice("tokens in params.yaml asks for it, and corpus says what text there is"):
        tokenizer.tokenize(
            corpora, settings.vocabulary, settings.sequence, params.seed, settings.pretrained, asked, most
        )


if __name__ == "__main__":
    stage.run(main)
