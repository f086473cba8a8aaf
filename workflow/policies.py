"""What the stages of routers and of baselines share: the model, what is learned from, and how policies are scored."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from duo.model import transformer
from duo.model.device import Device
from duo.model.transformer import Duo
from duo.routers import dataset, policy
from duo.routers.dataset import RouterDataset
from duo.routers.policy import Policy
from duo.tables.files import Table
from duo.tables.oracle import ROUTE_LOSSES, TRAIN_LOSSES
from duo.tables.training import MODEL
from workflow import instance


class KnownLosses:
    """A model with the losses of all its routes, on training, validation and held-out documents of all domains."""

    def __init__(self, model: str, shards: Sequence[int], device: Device):
        self._model, self._shards, self._device = model, shards, device
        self._domains = instance.domains(TRAIN_LOSSES.template)
        self.backbone: Duo = transformer.load(MODEL.path(model=model), device.name)

    def datasets(self) -> list[RouterDataset]:
        """What is learned from, and what settings are chosen on."""
        whole = pa.concat_tables([TRAIN_LOSSES.read(domain=domain) for domain in self._domains])
        return [self._dataset(whole.filter(pc.equal(whole["split"], split))) for split in ("routing", "validation")]

    def write(self, policies: Sequence[Policy], routes: Table, settings: Table, **keys: str) -> None:
        """Write what the policies do on the held-out documents, and how they came about."""
        parts = []
        for shard in self._shards:
            held_out = self._dataset(ROUTE_LOSSES.read(model=self._model, shard=shard))
            parts += [policy.score(each, held_out, self.backbone, self._device) for each in policies]
        routes.write(pa.concat_tables(parts), **keys)
        settings.write(policy.settings(policies), **keys)

    def _dataset(self, losses: pa.Table) -> RouterDataset:
        return dataset.from_losses(losses, self._domains, self.backbone, self._device)
