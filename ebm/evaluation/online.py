"""Online probes: what a representation is worth while it is learned."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import checks
from ebm.energy import evaluating
from ebm.evaluation.knn import nearest_classes
from ebm.memory import Queue
from ebm.method import Method
from ebm.shapes import Embeddings, Energies

UNKNOWN = -1.0


class Probed(Method):
    """A method, and beside it a linear and a k-NN probe of its representation.

    `fit` it like the method, with the labels as the last tensor of the data. The probes look
    at the representation in evaluation mode and give it no gradient: the method learns
    what it would learn alone. The history gets three more terms: `probe`, the cross-entropy
    of the linear classifier, `probe_error` and `knn_error`, the shares of the batch that the
    two probes get wrong *before* they have seen it. The errors have no gradient.

    The neighbors are those of the latest examples, in a queue that is saved and resumed
    like all memories. The offline probes, on whole sets of data, are `linear_accuracy` and
    `knn_accuracy`.

    >>> import ebm, methods, torch
    >>> x, labels = torch.randn(512, 2), torch.randint(0, 3, (512,))
    >>> probed = ebm.evaluation.Probed(methods.SimCLR.example(x), classes=3, features=128)
    >>> history = ebm.fit(probed, (x, labels), views=ebm.views.pair(x), steps=2, progress=False)
    >>> history.names
    ['nt_xent', 'probe', 'probe_error', 'knn_error']

    Args:
        method: The method to train; it has `encode`.
        classes: Number of classes.
        features: Features of its representation.
        size: Latest examples that the neighbors are looked for in; at least the batch.
        k: Number of neighbors.
        temperature: Divides the cosines.
    """

    def __init__(
        self,
        method: Method,
        *,
        classes: int,
        features: int,
        size: int = 4096,
        k: int = 200,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        if not hasattr(method, "encode"):
            raise TypeError(
                f"method must have encode(x), got {type(method).__name__} without. "
                "Define what its representation is."
            )
        self.method = method
        self.classes = checks.count("classes", classes, least=2)
        self.k = checks.count("k", k)
        self.temperature = checks.positive("temperature", temperature)
        self.head = nn.Linear(features, classes)
        self.recent, self.recent_labels = Queue(size, features), Queue(size, 1)
        self.recent_labels.rows.fill_(UNKNOWN)
        if hasattr(method, "sweep"):
            self.sweep = lambda batches: method.sweep(_Unlabeled(batches))  # pyright: ignore
        if hasattr(method, "after_step"):
            self.after_step = method.after_step  # pyright: ignore

    def encode(self, x: Tensor) -> Embeddings:
        """Return the method's representation."""
        return self.method.encode(x)  # pyright: ignore[reportCallIssue]

    def energy(self, x: Tensor, *given: Tensor) -> Energies:
        """Return the method's energy."""
        return self.method.energy(x, *given)

    def terms(self, *batch_and_labels: Tensor) -> dict[str, Tensor]:
        """Return the method's terms and those of the probes; labels come last."""
        *batch, labels = batch_and_labels
        self.method.step, self.method.progress = self.step, self.progress
        found = self.method.terms(*batch)
        with torch.no_grad(), evaluating(self.method):
            z = self.encode(batch[0]).flatten(1).to(self.head.weight.dtype)
        scores = self.head(z)
        known = self.recent_labels.rows[:, 0]
        guesses = nearest_classes(
            functional.normalize(self.recent.rows, dim=-1),
            known.long(),
            functional.normalize(z, dim=-1),
            classes=self.classes,
            k=self.k,
            temperature=self.temperature,
        )
        self.recent.stage(z)
        self.recent_labels.stage(labels[:, None].to(z.dtype))
        return {
            **found,
            "probe": functional.cross_entropy(scores, labels, reduction="none"),
            "probe_error": (scores.argmax(dim=1) != labels).to(z.dtype).detach(),
            "knn_error": (guesses != labels).to(z.dtype),
        }


class _Unlabeled:
    """Batches without their last tensor, as often as they are asked for."""

    def __init__(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return (batch[:-1] for batch in self.batches)
