"""Which clips a training step sees, and the held-out clips between steps."""

import sys
from collections import Counter

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from core.data.clips import Clips, loader
from core.errors import BadInput
from core.evaluation.report import UNEVEN
from core.labels import IGNORE
from core.training.distributed import World

KNOWN_PART = 0.5  # of a folder's clip: frames after this part carry its label
KEPT_BYTES = 1 << 30  # of held-out clips that are kept in memory between validations


class Keys:
    """Batch sampler: keys (index, seed) of every step from ``first`` on, from the seed alone.

    A step's ``batch`` is cut into ``parts`` chunks; the process of ``rank`` gets every ``world``th.
    With ``weights`` of all clips an epoch draws by them, a clip again where its weight is large.
    Raises ``BadInput`` when the batch cannot be cut so.
    """

    def __init__(
        self, count: int, batch: int, first: int, steps: int, seed: int,
        parts: int = 1, world: World | None = None, weights: Tensor | None = None,
    ) -> None:  # fmt: skip
        if not batch or batch % parts:
            raise BadInput(
                f"{batch} clips a step of {count} cannot be cut into {parts} equal parts "
                "(processes times --accumulate): give another --batch"
            )
        self.count, self.batch, self.first, self.steps, self.seed = count, batch, first, steps, seed
        self.parts, self.world, self.weights = parts, world or World(), weights

    @property
    def chunks(self) -> list[int]:
        """The numbers of the chunks of a step that this process gets."""
        return list(range(self.world.rank, self.parts, self.world.size))

    def __iter__(self):
        order, held = torch.empty(0), -1
        for step in range(self.first, self.steps):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            # Without replacement inside an epoch: a permutation of the epoch, cut into batches.
            epoch, place = divmod(step, epoch_steps(self.count, self.batch))
            if epoch != held:
                held = epoch
                order = self._order(torch.Generator().manual_seed(self.seed * 7919 + epoch))
            chosen = order[place * self.batch : (place + 1) * self.batch].tolist()
            seeds = torch.randint(2**31, (len(chosen),), generator=generator).tolist()
            keys = list(zip(chosen, seeds, strict=True))
            side = len(keys) // self.parts
            for chunk in self.chunks:
                yield keys[chunk * side : (chunk + 1) * side]

    def _order(self, generator: torch.Generator) -> Tensor:
        if self.weights is None:
            return torch.randperm(self.count, generator=generator)
        return torch.multinomial(self.weights, self.count, replacement=True, generator=generator)

    def __len__(self) -> int:
        return (self.steps - self.first) * len(self.chunks)


def alike(classes: list[int]) -> Tensor:
    """Weights of clips under which every class is drawn as often as every other."""
    sizes = Counter(classes)
    return torch.tensor([1 / sizes[label] for label in classes], dtype=torch.float64)


def tell_uneven(classes: list[int], labels: list[str]) -> None:
    """Warn where one class has many more training clips than another."""
    sizes = Counter(classes).most_common()
    (most, large), (least, small) = sizes[0], sizes[-1]
    if large < UNEVEN * small:
        return
    sys.stderr.write(
        f"warning: class {labels[most]!r} has {large} training clips and {labels[least]!r} "
        f"{small}: give more of the rare ones, or draw all classes alike with --balance\n"
    )


def epoch_steps(count: int, batch: int) -> int:
    """Steps of an epoch; what is left of it is dropped."""
    return max(1, count // batch)


class LabelledWindows(Clips):
    """A folder's clips in the form of the rendered windows.

    With ``each_frame`` the labels lie on the clip's later frames, from which a causal model can
    know them; without, the clip alone has one, as in the papers' loss.
    """

    def __init__(self, clips: Clips, each_frame: bool) -> None:
        self.clips, self.labels, self.each_frame = clips, clips.labels, each_frame

    @property
    def classes(self) -> list[int]:
        """The class of every clip."""
        return self.clips.classes  # type: ignore[attr-defined]  # those of folders have it

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, int, Tensor]:
        frames, label = self.clips[key]
        labels = torch.full((len(frames),), IGNORE)
        if self.each_frame:
            labels[int(KNOWN_PART * len(frames)) :] = label
        return frames, labels, label, torch.zeros(len(frames), 0)


def held_out(clips: Clips, batch: int, workers: int, world: World) -> list | DataLoader:
    """Batches of this process's part of the clips; few are read once, many at every validation."""
    part = Subset(clips, range(world.rank, len(clips), world.size))
    batches = loader(part, workers, batch_size=batch)
    if not len(part) or len(part) * clips[0][0].numel() > KEPT_BYTES:
        return batches
    return list(batches)
