"""The terms, forward and backward, beside the loss functions of other libraries."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ebm import terms
from ebm.benchmark.speed.peers import Peers
from ebm.benchmark.speed.race import Task, Work, backward

Loss = Callable[..., Tensor]


def tasks(peers: Peers, device: torch.device, *, quick: bool = False) -> Iterator[Task]:
    """Yield the tasks; quick ones are a sixteenth of the size."""
    bench = _Bench(peers, device, 16 if quick else 1)
    yield from bench.redundancy()
    yield from bench.contrastive()
    yield from bench.pairs()
    yield from bench.assignments()
    yield from bench.others()


class _Bench:
    def __init__(self, peers: Peers, device: torch.device, share: int) -> None:
        self.device, self.share = device, share
        self.lightly = peers.module("lightly", "lightly.loss")
        self.lightly_swav = peers.module("lightly", "lightly.loss.swav_loss")
        self.lightly_vicreg = peers.module("lightly", "lightly.loss.vicreg_loss")
        self.sphere = peers.module("lightly", "lightly.loss.hypersphere_loss")
        self.solo = peers.module("solo-learn", "solo.losses")
        self.metric = peers.module("metric-learning", "pytorch_metric_learning.losses")

    def draw(self, views: int, *shape: int) -> list[Tensor]:
        """Return views of the same examples, equal but for noise."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(shape, generator=generator)
        pictures = [x + 0.5 * torch.randn(shape, generator=generator) for _ in range(views)]
        return [picture.to(self.device).requires_grad_() for picture in pictures]

    def scaled(self, n: int, d: int) -> tuple[int, int]:
        """Return the size, its larger number a share of what it says."""
        if self.share == 1:
            return n, d
        return (max(n // self.share, 16), d) if n > d else (n, max(d // self.share, 16))

    def task(
        self, name: str, n: int, d: int, ours: Loss, theirs: dict[str, Loss], **more: Any
    ) -> Task:
        """Return the task of a loss of two views."""
        n, d = self.scaled(n, d)
        pair = self.draw(2, n, d)
        peers = {peer: backward(loss, *pair) for peer, loss in theirs.items()}
        if growth := more.pop("grows", None):
            more["growth"] = (growth, n if growth == "N" else d)
        if limit := more.pop("products", None):
            more["limit"] = limit(*(x.detach() for x in pair))
        if plain := more.pop("plain", None):  # torch's own, where no library has the term
            more["limit"] = backward(plain, *pair)
        size = f"N {n}, D {d}"
        return Task("terms", name, size, backward(ours, *pair), peers, **more)

    def redundancy(self) -> Iterator[Task]:
        """Yield the losses of batch statistics: VICReg, Barlow Twins, TiCo, whitening."""
        vicreg: Any = 25 * terms.Invariance() + 25 * terms.Variance() + terms.Covariance()
        barlow = terms.CrossCorrelation(off_diagonal_weight=0.005)
        goals = {(256, 8192): {"time_goal": 0.03, "memory_goal": 0.05}}
        sizes = [(256, d) for d in (128, 512, 2048, 8192)] + [(n, 128) for n in (1024, 4096, 16384)]
        for n, d in sizes:
            theirs: dict[str, Loss] = {}
            if self.lightly:
                theirs["lightly"] = self.lightly.VICRegLoss()
            if self.solo:
                theirs["solo-learn"] = self.solo.vicreg_loss_func
            more: dict[str, Any] = goals.get((n, d), {"time_goal": 1.0})
            more |= {"grows": "D"} if n == 256 else {"grows": "N"}
            yield self.task(
                "VICReg", n, d, lambda x, y: vicreg(x, y).mean(), theirs,
                # solo-learn adds the views' variance terms, where the paper's code halves them.
                products=_statistics, limit_repeats=2, tolerance=2e-2, **more,
            )  # fmt: skip
        for n, d in sizes:
            theirs = {}
            if self.lightly:
                theirs["lightly"] = self.lightly.BarlowTwinsLoss(lambda_param=0.005)
            if self.solo:
                theirs["solo-learn"] = lambda x, y: self.solo.barlow_loss_func(x, y, 0.005, 1.0)
            more = goals.get((n, d), {"time_goal": 1.0})
            more |= {"grows": "D"} if n == 256 else {"grows": "N"}
            yield self.task(
                "Barlow Twins", n, d, barlow, theirs,
                products=_statistics, limit_repeats=2, **more,
            )  # fmt: skip
        for n, d in ((256, 128), (256, 4096)):
            for name, term in (("variance", terms.Variance()), ("covariance", terms.Covariance())):
                theirs = {}
                if self.lightly:
                    part = getattr(self.lightly_vicreg, f"{name}_loss")
                    half = 0.5 if name == "variance" else 1.0
                    theirs["lightly"] = lambda x, y, f=part, half=half: half * (f(x) + f(y))
                yield self.task(name, n, d, term, theirs, tolerance=1e-3, time_goal=1.0)
        tico, agreement = terms.TransformationCovariance(), terms.Cosine()
        for n, d in ((256, 128), (256, 4096)):
            previous = torch.eye(self.scaled(n, d)[1], device=self.device)
            theirs = {}
            if self.lightly:
                loss = self.lightly.TiCoLoss()
                loss.C = previous
                theirs["lightly"] = lambda x, y, f=loss: f(x, y, update_covariance_matrix=False)
            yield self.task(
                "TiCo", n, d,
                lambda x, y, previous=previous: (agreement(x, y) + 8 * tico(x, previous)).mean(),
                theirs, time_goal=1.0,
            )  # fmt: skip
        for n, d in ((512, 128), (4096, 128)):
            theirs = {}
            if self.lightly:
                rows = self.scaled(n, d)[0]
                loss = self.lightly.WMSELoss(d, w_size=max(rows, 2 * d))
                theirs["lightly"] = lambda x, y, f=loss: f(torch.cat([x, y]))
            if self.share == 1:
                yield self.task(
                    "whitening (W-MSE)", n, d, terms.Whitening(eps=1e-3), theirs, time_goal=1.0
                )

    def contrastive(self) -> Iterator[Task]:
        """Yield the log-sum-exp losses: NT-Xent, InfoNCE, queues, banks, DCL, uniformity."""
        nt_xent = terms.NTXent(temperature=0.1)
        for n in (64, 256, 1024, 2048, 4096, 8192):
            theirs: dict[str, Loss] = {}
            if self.lightly and n <= 4096:  # more would take 5 GiB
                theirs["lightly"] = self.lightly.NTXentLoss(temperature=0.1)
            if self.solo and n <= 4096:
                theirs["solo-learn"] = lambda x, y: self.solo.simclr_loss_func(x, y, 0.1)
            if self.metric and n <= 64:  # it compares positives with pairs of negatives: N^3
                theirs["metric-learning"] = _metric(self.metric.NTXentLoss(temperature=0.1))
            goals: dict[str, Any] = {"time_goal": 1.0}
            if n >= 4096:
                goals = {"time_goal": 0.2, "memory_goal": 0.08, "limit_goal": 2.0}
            yield self.task(
                "NT-Xent", n, 128, lambda x, y: nt_xent(x, y).mean(), theirs,
                products=_pairs_of_all, tolerance=1e-3, grows="N", **goals,
            )  # fmt: skip
        info, clip = terms.InfoNCE(temperature=0.1), terms.InfoNCE.clip(temperature=0.1)
        many = (16_384, 65_536) if self.device.type == "cuda" else (32_768,)
        for n in (64, 256, 1024, 4096, *many):
            yield self.task(
                "InfoNCE", n, 128, lambda x, y: info(x, y).mean(), self._plain_info(n),
                products=_pairs_of_both, tolerance=1e-3, grows="N", time_goal=1.0,
            )  # fmt: skip
        for n in (256, 4096):
            yield self.task(
                "InfoNCE, both directions (CLIP)", n, 128, lambda x, y: clip(x, y).mean(),
                {"plain torch": _clip}, tolerance=1e-3, time_goal=1.0,
            )  # fmt: skip
        yield self._queue(256, 65_536)
        yield self._bank(256, 1024)
        yield self._instances(256, 1024)
        for weighted in (False, True):
            term = terms.Decoupled.weighted() if weighted else terms.Decoupled()
            for n in (256, 4096):
                theirs = {}
                if self.lightly:
                    kind = "DCLWLoss" if weighted else "DCLLoss"
                    theirs["lightly"] = getattr(self.lightly, kind)(temperature=0.1)
                yield self.task(
                    "DCL, weighted" if weighted else "DCL", n, 128,
                    lambda x, y, term=term: term(x, y).mean(), theirs,
                    tolerance=None if weighted else 1e-3, time_goal=1.0,
                )  # fmt: skip
        spread, near = terms.Uniformity(sharpness=2.0), terms.Alignment()
        for n in (256, 4096):
            theirs = {}
            if self.sphere:
                theirs["lightly"] = self.sphere.HypersphereLoss(t=2.0)
            yield self.task(
                "alignment and uniformity", n, 128,
                lambda x, y: near(x, y).mean() + (spread(x) + spread(y)) / 2,
                theirs, tolerance=1e-3, time_goal=1.0,
            )  # fmt: skip

    def _plain_info(self, n: int) -> dict[str, Loss]:
        theirs: dict[str, Loss] = {}
        # Its matrices would take 12 GiB of a computer's memory, and 50 GiB of a GPU's.
        if n <= (16_384 if self.device.type == "cuda" else 4096):
            theirs["plain torch"] = _info_nce
        if self.metric and n <= 64:
            theirs["metric-learning"] = _metric_directed(self.metric.NTXentLoss(temperature=0.1))
        return theirs

    def _queue(self, n: int, size: int) -> Task:
        size = size // self.share
        info = terms.InfoNCE(temperature=0.1)
        (queue,) = self.draw(1, size, 128)
        queue = functional.normalize(queue.detach(), dim=1)
        theirs: dict[str, Loss] = {}
        if self.lightly:
            loss = self.lightly.NTXentLoss(temperature=0.1, memory_bank_size=(size, 128))
            loss = loss.to(self.device)
            theirs["lightly"] = lambda x, y: loss(x, y.detach())
        if self.solo:
            turned = queue.T.contiguous()
            theirs["solo-learn"] = lambda x, y: self.solo.moco_loss_func(
                functional.normalize(x), functional.normalize(y.detach()), turned, 0.1
            )
        task = self.task(
            "queue of negatives (MoCo)", n, 128, lambda x, y: info(x, y.detach(), queue).mean(),
            theirs, time_goal=1.0,
        )  # fmt: skip
        return _renamed(task, f"{task.size}, {size} in the queue")

    def _bank(self, n: int, count: int) -> Task:
        count, info = count // self.share, terms.InfoNCE(temperature=0.1)
        (bank,) = self.draw(1, self.scaled(n, 128)[0], count, 128)
        bank = bank.detach()
        task = self.task(
            "own negatives (bank)", n, 128, lambda x, y: info(x, y, bank).mean(),
            {"plain torch": lambda x, y: _bank(x, y, bank)}, tolerance=1e-3, time_goal=1.0,
        )  # fmt: skip
        return _renamed(task, f"{task.size}, {count} each")

    def _instances(self, n: int, count: int) -> Task:
        count, term = count // self.share, terms.InstanceContrast(50_000)
        (bank,) = self.draw(1, self.scaled(n, 128)[0], count, 128)
        bank, log_z = bank.detach(), torch.tensor(10.0, device=self.device)
        task = self.task(
            "instance contrast", n, 128, lambda x, y: term(x, y, bank, log_z).mean(),
            {"plain torch": lambda x, y: _instance_contrast(x, y, bank, log_z)},
            tolerance=1e-3, time_goal=1.0,
        )  # fmt: skip
        return _renamed(task, f"{task.size}, {count} each")

    def pairs(self) -> Iterator[Task]:
        """Yield the losses of pairs and triplets."""
        cosine, alignment = terms.Cosine(), terms.Alignment()
        invariance, rebuilt, triplet = terms.Invariance(), terms.Reconstruction(), terms.Triplet()
        torchs = torch.nn.TripletMarginLoss()
        for n, d in ((256, 128), (1024, 2048)):
            theirs: dict[str, Loss] = {}
            if self.lightly:
                loss = self.lightly.NegativeCosineSimilarity()
                theirs["lightly"] = lambda x, y, f=loss: f(x, y.detach())
            if self.solo:
                theirs["solo-learn"] = self.solo.simsiam_loss_func
            yield self.task(
                "cosine (SimSiam)", n, d, lambda x, y: cosine(x, y.detach()).mean(), theirs,
                tolerance=1e-3, time_goal=1.0,
            )  # fmt: skip
            theirs = {"solo-learn": self.solo.byol_loss_func} if self.solo else {}
            yield self.task(
                "alignment (BYOL)", n, d, lambda x, y: alignment(x, y.detach()).mean(), theirs,
                tolerance=1e-3, time_goal=1.0,
            )  # fmt: skip
            yield self.task(
                "invariance", n, d, lambda x, y: invariance(x, y).mean(), {},
                plain=functional.mse_loss,
            )  # fmt: skip
            yield self.task(
                "reconstruction", n, d, lambda x, y: rebuilt(x, y).mean(), {},
                plain=lambda x, y: functional.mse_loss(x, y, reduction="sum") / len(x),
            )  # fmt: skip
            yield self.task(
                "triplet", n, d, lambda x, y: triplet(x, y, y.detach().roll(1, 0)).mean(), {},
                plain=lambda x, y: torchs(x, y, y.detach().roll(1, 0)),
            )  # fmt: skip

    def assignments(self) -> Iterator[Task]:
        """Yield Sinkhorn's iteration, SwAV and DINO."""
        n, k = self.scaled(1024, 3000)[0], 3000 // self.share
        (scores,) = self.draw(1, n, k)
        scores = functional.normalize(scores.detach())
        theirs: dict[str, Work] = {}
        if self.lightly:
            theirs["lightly"] = lambda: self.lightly_swav.sinkhorn(scores)[:, 0].square().mean()
        yield Task(
            "terms", "Sinkhorn", f"N {n}, K {k}",
            lambda: terms.sinkhorn(scores)[:, 0].square().mean(), theirs,
            time_goal=0.4, tolerance=1e-2,
        )  # fmt: skip
        views = self.draw(8, 64, k)
        swav = terms.SwappedPrediction()
        theirs = {}
        if self.lightly:
            loss = self.lightly.SwaVLoss()
            theirs["lightly"] = backward(lambda *z: loss(list(z[:2]), list(z[2:])), *views)
        yield Task(
            "terms", "SwAV, 2 + 6 crops", f"N 64, K {k}",
            backward(lambda *z: swav(*z).mean(), *views), theirs, time_goal=1.0,
        )  # fmt: skip
        yield self._dino(64, 16_384 // self.share)

    def _dino(self, n: int, k: int) -> Task:
        views = self.draw(10, n, k)
        teachers = [view.detach() for view in self.draw(2, n, k)]
        center = torch.zeros(1, k, device=self.device)
        dino = terms.Distillation()

        def ours(*students: Tensor) -> Tensor:
            # The libraries' losses move the center too.
            value = dino.over_views(students, teachers, center).mean()
            means = torch.stack([y.mean(0, keepdim=True) for y in teachers])
            center.copy_(0.9 * center + 0.1 * means.mean(0))
            return value

        theirs: dict[str, Loss] = {}
        if self.lightly:
            loss = self.lightly.DINOLoss(k).to(self.device)
            theirs["lightly"] = lambda *z: loss(teachers, list(z), teacher_temp=0.04)
        if self.solo:
            other = self.solo.DINOLoss(k, 0.04, 0.04, 1, 10, num_large_crops=10).to(self.device)
            both = torch.cat(teachers)
            theirs["solo-learn"] = lambda *z: other(torch.cat(z), both)
        peers = {name: backward(loss, *views) for name, loss in theirs.items()}
        return Task(
            "terms", "DINO, 2 + 8 crops", f"N {n}, K {k}", backward(ours, *views), peers,
            time_goal=0.4,
        )  # fmt: skip

    def others(self) -> Iterator[Task]:
        """Yield the margin losses of discrete answers."""
        likelihood, hinge = terms.MarginLoss.likelihood(), terms.MarginLoss.hinge()
        for n, answers in ((256, 10), (4096, 1000)):
            n, answers = n // min(self.share, n // 16), max(answers // self.share, 4)
            (energies,) = self.draw(1, n, answers)
            right = torch.arange(n, device=self.device) % answers

            def work(loss: Loss, energies: Tensor = energies, right: Tensor = right) -> Work:
                return backward(lambda e: loss(e, right).mean(), energies)

            size = f"N {n}, {answers} answers"
            yield Task(  # torch's own is one call
                "terms", "likelihood of an answer", size, work(likelihood), {},
                limit=work(lambda e, right: functional.cross_entropy(-e, right)),
            )  # fmt: skip
            yield Task(
                "terms", "hinge of an answer", size, work(hinge), {"plain torch": work(_hinge)},
                tolerance=1e-3, time_goal=1.0,
            )  # fmt: skip


def _renamed(task: Task, size: str) -> Task:
    from dataclasses import replace

    return replace(task, size=size)


def _statistics(x: Tensor, y: Tensor) -> Work:
    """Return one view's products: its smaller gram matrix, and its gradient from that."""
    matrix = x if x.shape[0] <= x.shape[1] else x.T.contiguous()
    gram, gradient = matrix.new_empty(len(matrix), len(matrix)), torch.empty_like(matrix)

    def work() -> None:
        torch.mm(matrix, matrix.T, out=gram)
        torch.mm(gram, matrix, out=gradient)

    return work


def _pairs_of_all(x: Tensor, y: Tensor) -> Work:
    """Return the products of 2N embeddings: half a gram matrix, and the whole one times z.

    In pieces of 1024 rows, so that memory is no part of it.
    """
    z = torch.cat([x, y])
    rows = z.split(1024)
    piece, gradient = z.new_empty(len(rows[0]), len(rows[0])), torch.empty_like(rows[0])

    def work() -> None:
        for i, a in enumerate(rows):
            for b in rows[i:]:
                torch.mm(a, b.T, out=piece)
            for b in rows:
                torch.mm(piece, b, out=gradient)

    return work


def _pairs_of_both(x: Tensor, y: Tensor) -> Work:
    """Return the products of N with N embeddings: their matrix, and it times either side."""
    rows, columns = x.split(1024), y.split(1024)
    piece, gradient = x.new_empty(len(rows[0]), len(rows[0])), torch.empty_like(rows[0])

    def work() -> None:
        for a in rows:
            for b in columns:
                torch.mm(a, b.T, out=piece)
                torch.mm(piece, b, out=gradient)
                torch.mm(piece.T, a, out=gradient)

    return work


def _metric(loss: Any) -> Loss:
    def of_pairs(x: Tensor, y: Tensor) -> Tensor:
        labels = torch.arange(len(x), device=x.device).repeat(2)
        return loss(torch.cat([x, y]), labels)

    return of_pairs


def _metric_directed(loss: Any) -> Loss:
    def of_pairs(x: Tensor, y: Tensor) -> Tensor:
        labels = torch.arange(len(x), device=x.device)
        # One tensor of labels for both would mean one set, of which no row has a partner.
        return loss(x, labels, ref_emb=y, ref_labels=labels.clone())

    return of_pairs


def _info_nce(x: Tensor, y: Tensor) -> Tensor:
    logits = functional.normalize(x) @ functional.normalize(y).T / 0.1
    return functional.cross_entropy(logits, torch.arange(len(x), device=x.device))


def _clip(x: Tensor, y: Tensor) -> Tensor:
    logits = functional.normalize(x) @ functional.normalize(y).T / 0.1
    right = torch.arange(len(x), device=x.device)
    return (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2


def _bank(x: Tensor, y: Tensor, bank: Tensor) -> Tensor:
    x, y, bank = (functional.normalize(z, dim=-1) for z in (x, y, bank))
    others = torch.einsum("nd,nmd->nm", x, bank)
    logits = torch.cat([(x * y).sum(1, keepdim=True), others], 1) / 0.1
    return functional.cross_entropy(logits, torch.zeros(len(x), dtype=torch.long, device=x.device))


def _instance_contrast(x: Tensor, y: Tensor, bank: Tensor, log_z: Tensor) -> Tensor:
    x, y, bank = (functional.normalize(z, dim=-1) for z in (x, y, bank))
    own = ((x * y).sum(1) / 0.07 - log_z).exp()
    others = (torch.einsum("nd,nmd->nm", x, bank) / 0.07 - log_z).exp()
    noise = bank.shape[1] / 50_000
    caught = -(own / (own + noise)).log() - (noise / (others + noise)).log().sum(1)
    return caught.mean()


def _hinge(energies: Tensor, right: Tensor) -> Tensor:
    others = functional.one_hot(right, energies.shape[1]).bool()
    wrong = energies.masked_fill(others, torch.inf).amin(1)
    return (1 + energies.gather(1, right[:, None]).squeeze(1) - wrong).relu()
