"""A router of one's own: does it help to know how sure the model already is, layer by layer?

The logit lens reads a layer's hidden state as if it were the last one's: the final norm and the output matrix turn it
into a prediction. Where that has little entropy, the token may be settled, and need no more big FFNs. This router sees
these entropies alone, one number per layer, and learns by least squares how much each layer's big FFN helps.

To hold it against the other routers and the baselines, add to params.yaml

    policies:
      routers:
        entropy: examples.own_router:EntropyRouter  # beside the entries that are there

and run `dvc repro`. It is trained and evaluated as they are: artifacts/gap_closed/ has its losses with intervals, the
report its marks in the figure of the gap closed. No model is trained anew, and no other router.
"""

import torch

CHUNK = 1024  # tokens at once: their predictions of all layers take CHUNK * layers * vocabulary numbers


class EntropyRouter:
    """Scores of layers, linear in the entropies of the logit lens at all layers; see duo.routers.policy.OwnRouter."""

    input = "entropy"  # what tables and captions say that it reads

    def fit(self, train, validation, backbone, seed):
        self.backbone = backbone
        entropies = self.entropies(train)
        self.deviation, self.mean = torch.std_mean(entropies, dim=0)
        solution = torch.linalg.lstsq(self.features(entropies), help_of_layers(train), driver="gelsd")
        self.weights = solution.solution

    def scores(self, dataset):
        return self.features(self.entropies(dataset)) @ self.weights

    def features(self, entropies):
        """[tokens, 1 + layers]: a one for the intercept, and the entropies, standardised."""
        standardised = (entropies - self.mean) / self.deviation.clamp(min=1e-6)
        return torch.cat([torch.ones(len(entropies), 1), standardised], dim=1)

    @torch.no_grad()
    def entropies(self, dataset):
        """[tokens, layers] nats, of the prediction that the hidden state of each layer would make."""
        model, chunks = self.backbone, []
        for states in dataset.inputs.split(CHUNK):
            logits = model.final(states.to(model.outputs.device)) @ model.outputs.T
            likelihoods = logits.float().log_softmax(-1)
            chunks.append(-(likelihoods.exp() * likelihoods).sum(-1).cpu())
        return torch.cat(chunks)


def help_of_layers(dataset):
    """[tokens, layers] nats: mean loss over routes that are small at the layer, less that over routes big there."""
    codes = torch.arange(dataset.losses.shape[1])
    powers = 2 ** torch.arange(dataset.layers - 1, -1, -1)  # a route's code has a binary digit per layer, 1 for big
    signs = 1.0 - 2.0 * (codes[:, None] // powers % 2)  # [routes, layers]
    return dataset.losses @ signs / (len(codes) / 2)
