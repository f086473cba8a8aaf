"""Train the tokenizer on the training split, or take a pretrained model's, and turn every domain's documents into
tokens.
"""

from duo.data import tokenizer
from duo.tables.data import DOCUMENTS
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    corpora = {domain: DOCUMENTS.read(["id", "cluster", "split", "text"], domain=domain) for domain in params.corpus}
    settings = params.tokens
    with stage.advice("tokens in params.yaml asks for it, and corpus says what text there is"):
        tokenizer.tokenize(corpora, settings.vocabulary, settings.sequence, params.seed, settings.pretrained)


if __name__ == "__main__":
    stage.run(main)
