"""Train the tokenizer on the training split, or take a pretrained model's, and turn every domain's documents into tokens."""

from duo import artifacts, config, tokens
from workflow import stage


def main() -> None:
    params = config.load()
    corpora = {domain: artifacts.DOCUMENTS.read(["id", "split", "text"], domain=domain) for domain in params.corpus}
    tokens.make(corpora, params.tokens.vocabulary, params.tokens.sequence, params.seed, params.tokens.pretrained)


if __name__ == "__main__":
    stage.run(main)
